// Package packcache keeps packs that were made for clients in the local home, because
// what one asks for many ask for: clones of a branch, or of its newest commit.
//
// An entry is the pack as it goes over the wire, in packets of side-band-64k. What a pack
// holds depends only on what its key is made of, so entries never become wrong, and a ref
// that moves makes new keys. While an entry is made, everybody who asks for it follows
// it; the maker waits for no reader, and goes on for as long as there is one. Small
// entries are in memory, others in files:
//
//	packs/making/<number>          being made; removed at the next start
//	packs/<storage>/<key>.pack     whole
//
// The pack's own checksum tells whether a file is still what it was: it is compared
// before the first use of a file that an earlier process has left.
package packcache
