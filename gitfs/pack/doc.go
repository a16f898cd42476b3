// Package pack knows the formats of Git's pack files and nothing of where they
// lie or what may be in them: entries and deltas (gitformat-pack(5)), version 2
// indexes, reverse indexes, and the trailer that names a pack.
//
// A pack is a header, entries in any order and a SHA-1 of all before it. An entry
// is a small header and a zlib stream, which holds an object or a delta against
// another entry. What stands in the header is never believed before it was
// bounded: sizes are checked before anything is allocated for them.
package pack
