// Package lfs is large files that are kept beside a repository and named in its files by
// their hash (https://github.com/git-lfs/git-lfs/tree/main/docs): the objects, the locks on
// paths, and what a repository or project allows of them.
//
// Objects and locks have a stream of their own for each repository. They are many, and
// nothing is decided by folding them: that an object is new, that a path is free and that a
// quota holds is what the tables of projections/lfs refuse an event by. Settings are few, and
// with those of the repository or project itself.
package lfs
