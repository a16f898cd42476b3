// Package receivepack takes pushes: git-receive-pack's side of versions 0 and 1 as
// described in gitprotocol-pack(5). There is no version 2 of pushing.
//
// A push is judged in the order in which judging gets dearer: the names and the
// permissions of its refs before its pack is read, the objects in quarantine before
// anything is published, and the refs once more by whoever commits it. Nothing is
// visible to anybody before that commit, and nothing is left of a push that fails.
package receivepack
