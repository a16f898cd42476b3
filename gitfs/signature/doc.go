// Package signature verifies the signatures of commits: those of OpenPGP and those of SSH
// keys (PROTOCOL.sshsig of OpenSSH, in Git's namespace), by the keys that the user with the
// committer's e-mail address has added. A signature of a key that nobody has added, or
// that somebody else has, counts for nothing.
package signature
