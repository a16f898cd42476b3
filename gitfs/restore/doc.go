// Package restore says what it takes to bring a repository's refs back to where they were.
// It changes nothing: its plan is a push, which is decided as all pushes are.
package restore
