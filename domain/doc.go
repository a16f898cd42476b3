// Package domain is the vocabulary every other package shares: events, streams,
// metadata and the errors a decision may return. Each aggregate has a package of
// its own below this one, with pure Decide and Evolve functions.
//
// It imports the standard library only and reads no clock, no randomness and no
// input or output: ids and times arrive in commands.
package domain
