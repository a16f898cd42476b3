// Package group decides what may happen to a group of users: its name, and who is in it.
//
// A group is absent, then active, then deleted for ever:
//
//	absent --Create--> active --Rename, AddMembers, RemoveMembers--> active --Delete--> deleted
//
// Its members are users and other groups; whoever is in a group is in all groups that it
// is in. What a group is granted is decided in package access.
//
// Invariants kept here: an event is made only when something changes and names each member
// once; a group is no member of itself; the limits below. Kept by the access projection, in
// the transaction that appends the event: names are unique whatever their case, members
// exist, and no group is its own member by way of others.
package group
