// Package account decides what may happen to a user: the profile, the password,
// the personal HTTP access tokens and the SSH keys.
//
// A user is absent, then active; an inactive one cannot log in, by password or by
// token, until made active again:
//
//	absent --Create--> active --Deactivate--> inactive --Activate--> active
//
// Names, e-mail addresses, password hashes, the names and hashes of tokens, and SSH
// keys are personal data: events keep them beside their body, where they can be erased.
//
// Whoever holds an access key, or a token of a project or repository, is a user made for it,
// who ends with it.
//
// Invariants kept here: a name holds ASCII letters, digits and . _ @ + - only and
// the slug follows from it; a token is revoked once and carries at least one
// project or repository permission, and no two of a user have the same name; an event is made only when something changes.
// Kept by the access projection, in the transaction that appends the event: names
// and slugs are unique whatever their case, an SSH key belongs to one user, and the
// installation is set up once.
package account
