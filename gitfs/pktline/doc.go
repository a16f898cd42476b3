// Package pktline reads and writes Git's packet lines and side-band, as
// gitprotocol-common(5) and gitprotocol-pack(5) define them.
//
// A packet is four hexadecimal digits that give its whole length, then that many
// bytes less four. Lengths 0, 1 and 2 are the special packets flush, delimiter
// and response end.
package pktline
