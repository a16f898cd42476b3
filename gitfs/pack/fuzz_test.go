package pack_test

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pack"
)

func FuzzHeader(f *testing.F) {
	f.Add(pack.AppendHeader(nil, 3))
	f.Add([]byte("PACK\x00\x00\x00\x04\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := pack.ParseHeader(b)
		if err == nil && b[7] == 2 && !bytes.Equal(pack.AppendHeader(nil, n), b[:pack.HeaderSize]) {
			t.Fatalf("%d objects of %x", n, b)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(pack.AppendEntryHeader(nil, pack.Entry{Kind: 1, Size: 1 << 40}), int64(12))
	f.Add(pack.AppendEntryHeader(nil, pack.Entry{Kind: pack.OfsDelta, Size: 5, Offset: 1 << 33, BaseOffset: 12}), int64(1<<33))
	f.Add(pack.AppendEntryHeader(nil, pack.Entry{Kind: pack.RefDelta, Size: 0}), int64(100))
	f.Fuzz(func(t *testing.T, b []byte, offset int64) {
		e, err := pack.ParseEntry(b, offset)
		if err != nil {
			return
		}
		if e.Size < 0 || e.DataOffset > offset+int64(len(b)) {
			t.Fatalf("%+v", e)
		}
		if e.Kind == pack.OfsDelta && (e.BaseOffset >= offset || e.BaseOffset < pack.HeaderSize) {
			t.Fatalf("%+v", e)
		}
	})
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte("0123456789"), append(deltaHeader(10, 6), append(appendCopy(nil, 2, 5), 1, 'x')...))
	f.Add([]byte{}, append(deltaHeader(0, 1), 1, 'x'))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		const max = 1 << 20
		got, err := pack.ApplyDelta(base, delta, max)
		if _, size, _, headerErr := pack.ParseDeltaHeader(delta); headerErr == nil && size > max {
			if err == nil {
				t.Fatal("over the limit")
			}
			return
		}
		patched, patchErr := patch(base, delta)
		if (err == nil) != (patchErr == nil) || err == nil && !bytes.Equal(got, patched) {
			t.Fatalf("in memory %d bytes, %v; else %d bytes, %v", len(got), err, len(patched), patchErr)
		}
	})
}

func FuzzIndex(f *testing.F) {
	var idx, rev bytes.Buffer
	entries := []pack.IndexEntry{{ID: git.ObjectID{1}, Offset: 12}, {ID: git.ObjectID{2}, Offset: 5 << 30}}
	if err := pack.WriteIndex(&idx, entries, git.ZeroID); err != nil {
		f.Fatal(err)
	}
	if err := pack.WriteReverse(&rev, entries, git.ZeroID); err != nil {
		f.Fatal(err)
	}
	f.Add(idx.Bytes(), rev.Bytes())
	f.Fuzz(func(t *testing.T, idx, rev []byte) {
		x, err := pack.ParseIndex(idx, rev)
		if err != nil {
			return
		}
		for pos := range x.Len() {
			x.Find(x.ID(pos))
			x.PosAtOffset(x.Offset(pos))
			x.CRC(pos)
			if p := x.ByOffset(pos); p >= x.Len() {
				t.Fatalf("position %d of %d", p, x.Len())
			}
		}
		x.WithPrefix(git.ObjectID{1}, 13)
	})
}

// FuzzInflate holds what reads streams in memory against the library: both take a stream, or
// neither does.
func FuzzInflate(f *testing.F) {
	f.Add([]byte{0x78, 0x9c, 0x4b, 0x4c, 0x04, 0x02, 0x00, 0x02, 0x49, 0x01, 0x24}, int64(3))
	content := bytes.Repeat([]byte("what repeats, and what does not: \x00\x01\xfe; "), 40)
	for level := zlib.HuffmanOnly; level <= zlib.BestCompression; level++ {
		var stored bytes.Buffer
		w, err := zlib.NewWriterLevel(&stored, level)
		require.NoError(f, err)
		_, err = w.Write(content)
		require.NoError(f, err)
		require.NoError(f, w.Close())
		f.Add(stored.Bytes(), int64(len(content)))
	}
	f.Fuzz(func(t *testing.T, stored []byte, size int64) {
		if size < 0 || size > 1<<20 {
			return
		}
		data, err := pack.Inflate(stored, size)
		var inflater pack.Inflater
		want := make([]byte, size)
		wantErr := inflater.Reset(bytes.NewReader(stored), size)
		if wantErr == nil {
			wantErr = inflater.ReadAll(want)
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, where the library says %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(data, want) {
			t.Fatal("not what the library reads")
		}
	})
}
