// Package repository decides what may happen to a repository: its life, its
// settings and the movement of its refs.
//
// A repository is absent, then active; a deleted one can be restored, with its
// objects and refs as they were:
//
//	absent --Create, Fork--> active --Delete--> deleted
//	                   active <--Restore-- deleted
//
// Invariants kept here: a slug follows from the name by Slug and is safe in a URL
// and in a path; the default branch is a valid name below refs/heads/; ids and
// storage never change; an event is made only when something changes; a ref moves
// only from the object the pusher named; of an atomic push all refs move or none;
// no ref lies below another. Kept by the catalog projection, in the transaction
// that appends the event: a slug is unique in its project, and the project exists.
package repository
