// Package refs answers what each ref of a repository points to and which packs
// hold its objects.
//
// Projection follows the log and keeps the rows. Nobody waits for it: Reader reads the
// rows together with what the log holds behind them and keeps the result in memory, and
// before each use asks the log with one look into an index whether the repository has
// moved since. Arbiter decides pushes on the same memory; the append refuses what was
// decided on a state that is not the newest.
package refs
