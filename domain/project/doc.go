// Package project decides what may happen to a project: a key, a name, a
// description and whether everybody may read it.
//
// A project is absent, then active, then deleted for ever:
//
//	absent --Create--> active --Update--> active --Delete--> deleted
//
// Invariants kept here: a key is upper case, starts with a letter and holds
// letters, digits, dashes and underscores only; an event is made only when
// something changes. Kept by the catalog projection, in the transaction that
// appends the event: keys and names are unique whatever their case, and a project
// that still has repositories is not deleted.
package project
