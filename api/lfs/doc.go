// Package lfs answers Git LFS: the batch API with basic transfers, and locks
// (https://github.com/git-lfs/git-lfs/tree/main/docs/api), below /scm/{project}/{repo}.git/info/lfs.
//
// Whoever asks for a batch proves himself as for Git over HTTP, or by what
// git-lfs-authenticate gave him over SSH. He is answered with links, each for one object of
// one repository, one direction and one hour, signed with a key that all nodes share. A link
// is no permission: who it was given to, and by what he had proved himself, is judged again
// whenever it is used (adr/0001-links.md).
package lfs
