// Package effective folds events into who may do what, and why: what a user holds by himself,
// by his groups, by a project's default permission and because anybody may.
//
// It is how the past is answered: the tables of package projections/access say the same of
// now, by the same rules, and a test holds the two together. Order matters within a stream
// only, so the streams may be folded one after the other: whatever is granted to a group that
// does not exist, or on a project that a repository is not in, has no effect.
package effective
