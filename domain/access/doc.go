// Package access is who may do what: Bitbucket's permissions, what each implies,
// and the granting and revoking of them.
//
// A user or a group has at most one permission on each project, on each repository and
// on the whole installation; granting another replaces it. Grants on a project or
// repository are events of its stream, global ones of the holder's stream, so that a
// user and the right to log in begin in one append. A project may also have a default
// permission, which everybody has who may log in.
//
// Invariants kept here: a permission is granted only at its own level; an event is
// made only when something changes. Kept by the access projection, in the
// transaction that appends the event: somebody active always holds SYS_ADMIN, once
// anybody has.
package access
