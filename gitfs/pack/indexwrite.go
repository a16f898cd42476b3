package pack

import (
	"bufio"
	"crypto/sha1"
	"encoding/binary"
	"hash"
	"io"
	"slices"

	"github.com/annal-git/annal/domain/git"
)

// IndexEntry is what an index holds about one object.
type IndexEntry struct {
	ID     git.ObjectID
	CRC    uint32 // IEEE CRC-32 of the entry's header and stream
	Offset int64
}

// WriteIndex writes an .idx file, byte for byte as git index-pack would. The
// entries must be sorted by id and have none twice.
func WriteIndex(w io.Writer, entries []IndexEntry, pack git.ObjectID) error {
	out := newChecksummed(w, MaxIndexBytes(int64(len(entries))))
	out.write(indexSignature)
	i := 0
	for first := range 256 {
		for i < len(entries) && int(entries[i].ID[0]) == first {
			i++
		}
		out.uint32(uint32(i))
	}
	for i := range entries {
		out.write(entries[i].ID[:])
	}
	for i := range entries {
		out.uint32(entries[i].CRC)
	}
	large := []int64(nil)
	for i := range entries {
		offset := entries[i].Offset
		if offset < largeOffsetBit {
			out.uint32(uint32(offset))
			continue
		}
		out.uint32(largeOffsetBit | uint32(len(large)))
		large = append(large, offset)
	}
	for _, offset := range large {
		out.write(binary.BigEndian.AppendUint64(nil, uint64(offset)))
	}
	out.write(pack[:])
	return out.close()
}

// WriteReverse writes a .rev file for the same entries, byte for byte as git
// index-pack --rev-index would.
func WriteReverse(w io.Writer, entries []IndexEntry, pack git.ObjectID) error {
	positions := make([]uint32, len(entries))
	for i := range positions {
		positions[i] = uint32(i)
	}
	slices.SortFunc(positions, func(a, b uint32) int {
		if entries[a].Offset < entries[b].Offset {
			return -1
		}
		return 1
	})
	out := newChecksummed(w, MaxIndexBytes(int64(len(entries))))
	out.write(reverseSignature)
	for _, p := range positions {
		out.uint32(p)
	}
	out.write(pack[:])
	return out.close()
}

// checksummed writes through a SHA-1.
type checksummed struct {
	*bufio.Writer
	sum hash.Hash
	to  io.Writer
}

// newChecksummed makes a writer of about size bytes.
func newChecksummed(w io.Writer, size int64) *checksummed {
	sum := sha1.New()
	return &checksummed{Writer: bufio.NewWriterSize(io.MultiWriter(sum, w), int(min(size, 64<<10))), sum: sum, to: w}
}

// write leaves its error to close, for a bufio.Writer keeps the first.
func (c *checksummed) write(p []byte) { _, _ = c.Write(p) }

func (c *checksummed) uint32(v uint32) {
	c.write(binary.BigEndian.AppendUint32(c.AvailableBuffer(), v))
}

func (c *checksummed) close() error {
	if err := c.Flush(); err != nil {
		return err
	}
	_, err := c.to.Write(c.sum.Sum(nil))
	return err
}
