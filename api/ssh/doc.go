// Package ssh serves Git over SSH: git-upload-pack, git-receive-pack and git-upload-archive,
// and what else is registered in the table of commands. Nothing is handed to a shell, and no
// process is started.
//
// Everybody logs in as the user "git", by a public key; who that is follows from the key. It
// is asked anew for each command, so that a key that was removed opens nothing any more, not
// even within a connection that is open.
//
// What strangers may use is bounded before work is done for them: connections that have not
// logged in, in total and by address; the time to log in; channels and what is refused in a
// connection; the length of a command; the time in which a client neither sends nor takes.
package ssh
