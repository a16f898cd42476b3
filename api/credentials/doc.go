// Package credentials proves who sends a request, by password, personal access token or
// the access token of an application, for REST and for Git alike; and by the session of a
// browser, for everything but Git.
//
// Accepted are Basic with user name and password, Basic with user name and token,
// Basic with the user name "x-token-auth" and a token, and Bearer with a token; in
// the Authorization header only. A wrong password, an unknown user, an inactive
// one and one who may not log in are refused with the same words after the same
// work.
//
// Passwords are hashed with argon2id. Hashing is memory-hard, so only so many hashes
// are computed at once, and a password that was right a moment ago is remembered
// under a keyed hash that its next change makes worthless: a Git client sends it
// with every request. Sessions, users, tokens and rights themselves are asked for every time.
package credentials
