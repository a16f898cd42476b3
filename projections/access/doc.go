// Package access answers who the users are, how they prove it and what they may do.
//
// It is inline: its rows move in the transaction that appends the event, so that a
// revoked token or permission is refused at once on every node. Its constraints and
// checks keep user names unique, the first set-up single and the last active system
// administrator in office.
//
// Personal data that was erased from the log leaves a user with a made-up name and
// without password.
package access
