// Package access answers who the users are, how they prove it, which groups they are in and
// what they may do.
//
// It is inline: its rows move in the transaction that appends the event, so that a
// revoked token or permission is refused at once on every node. Its constraints and
// checks keep names unique, the first set-up single, groups out of themselves and the last
// active system administrator in office. Appends take turns, so no two of them can each let
// in what together would be wrong.
//
// Personal data that was erased from the log leaves a user with a made-up name and
// without password or groups.
//
// PastOf answers the same of the past, from the log. Attempts limits how often passwords can
// be tried; its tables are neither derived nor rebuilt.
package access
