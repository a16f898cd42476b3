// Package uploadpack serves fetches and clones: protocol version 2 as described
// in gitprotocol-v2(5), and versions 0 and 1 as in gitprotocol-pack(5), over
// stateless HTTP or one duplex stream.
//
// A client gets what visible refs reach and nothing else. An id that is hidden,
// unreachable or not there at all is refused with the same words.
package uploadpack
