// Package refusals keeps what was refused: log-ins, and what permissions and rules did not let
// somebody do. None of it is in the log, since none of it changed anything; it is kept for a while in
// a table of its own, for those who look into an attack or help somebody who is stuck.
//
// No secret is kept: nothing of passwords, tokens and keys, and of the names that were tried only
// those that users have; people type passwords where names belong.
package refusals
