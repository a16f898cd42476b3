package pack

import (
	"bytes"
	"crypto/sha1"
	"hash/crc32"
	"io"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// MakeIndex makes the .idx file of a pack that is at hand as a whole and needs no object
// but its own, byte for byte as git index-pack would. max bounds the bytes that are inflated
// and made of deltas in all. Errors are *CorruptError, and *SizeError beyond max.
func MakeIndex(content []byte, max int64) (idx []byte, err error) {
	if len(content) < HeaderSize+TrailerSize {
		return nil, corrupt("it is too short")
	}
	body := content[:len(content)-TrailerSize]
	sum := sha1.Sum(body)
	if !bytes.Equal(sum[:], content[len(body):]) {
		return nil, corrupt("it does not match its checksum")
	}
	count, err := ParseHeader(body)
	if err != nil {
		return nil, err
	}
	m := &indexMaker{body: body, left: max, at: map[int64]int{}, named: map[git.ObjectID]int{}}
	for at := int64(HeaderSize); at < int64(len(body)); {
		if at, err = m.entry(at); err != nil {
			return nil, err
		}
	}
	if len(m.entries) != int(count) {
		return nil, corrupt("it has %d entries, and should have %d", len(m.entries), count)
	}
	if err := m.resolve(max); err != nil {
		return nil, err
	}
	index := make([]IndexEntry, len(m.entries))
	for i, e := range m.entries {
		index[i] = e.IndexEntry
	}
	slices.SortFunc(index, func(a, b IndexEntry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for i := range index[min(1, len(index)):] {
		if index[i].ID == index[i+1].ID {
			return nil, corrupt("object %s is in it twice", index[i].ID)
		}
	}
	var file bytes.Buffer
	err = WriteIndex(&file, index, git.ObjectID(sum))
	return file.Bytes(), err
}

// indexMaker makes an index. All objects are in memory.
type indexMaker struct {
	body    []byte
	left    int64 // bytes that may still be inflated or made
	entries []madeEntry
	at      map[int64]int // entries by where they start
	named   map[git.ObjectID]int
}

type madeEntry struct {
	IndexEntry
	Entry
	kind object.Type // 0 until the object is known
	data []byte      // of the object, once that is known; of the delta before
}

// entry reads the entry at an offset, and returns where the next one starts.
func (m *indexMaker) entry(at int64) (next int64, err error) {
	e := madeEntry{}
	if e.Entry, err = ParseEntry(m.body[at:], at); err != nil {
		return 0, corrupt("the entry at offset %d: %s", at, err)
	}
	if err := m.spend(e.Size); err != nil {
		return 0, err
	}
	e.data = make([]byte, e.Size)
	n, err := inflateBytes(e.data, m.body[e.DataOffset:])
	if err != nil {
		return 0, err
	}
	next = e.DataOffset + int64(n)
	e.IndexEntry.Offset, e.CRC = at, crc32.ChecksumIEEE(m.body[at:next])
	m.at[at] = len(m.entries)
	m.entries = append(m.entries, e)
	if !e.Kind.IsDelta() {
		m.know(len(m.entries)-1, e.Kind.Type(), e.data)
	}
	return next, nil
}

func (m *indexMaker) spend(size int64) error {
	if size > m.left {
		return &SizeError{Size: size, Max: m.left}
	}
	m.left -= size
	return nil
}

func (m *indexMaker) know(i int, kind object.Type, data []byte) {
	e := &m.entries[i]
	e.kind, e.data, e.ID = kind, data, object.Hash(kind, data)
	m.named[e.ID] = i
}

// resolve makes the objects that are stored as deltas. One may be based on another that
// stands behind it, so it goes over them until all are made.
func (m *indexMaker) resolve(max int64) error {
	for {
		made, waiting := 0, 0
		for i := range m.entries {
			e := &m.entries[i]
			if e.kind != 0 {
				continue
			}
			base, ok := m.at[e.BaseOffset]
			if e.Kind == RefDelta {
				base, ok = m.named[e.BaseID]
			}
			if !ok || m.entries[base].kind == 0 {
				waiting++
				continue
			}
			_, size, _, err := ParseDeltaHeader(e.data)
			if err != nil {
				return err
			}
			if err := m.spend(size); err != nil {
				return err
			}
			data, err := ApplyDelta(m.entries[base].data, e.data, max)
			if err != nil {
				return err
			}
			m.know(i, m.entries[base].kind, data)
			made++
		}
		switch {
		case waiting == 0:
			return nil
		case made == 0:
			return corrupt("%d deltas have no base", waiting)
		}
	}
}

// WriteTo writes the index as an .idx file.
func (x *Index) WriteTo(w io.Writer) (int64, error) {
	entries := make([]IndexEntry, x.n)
	for pos := range entries {
		entries[pos] = IndexEntry{ID: x.ID(pos), CRC: x.CRC(pos), Offset: x.Offset(pos)}
	}
	var file bytes.Buffer
	if err := WriteIndex(&file, entries, x.PackID()); err != nil {
		return 0, err
	}
	return file.WriteTo(w)
}
