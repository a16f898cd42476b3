package pack_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

func TestParseEntry_roundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]pack.Kind{1, 2, 3, 4, pack.OfsDelta, pack.RefDelta}).Draw(t, "kind")
		e := pack.Entry{Kind: kind, Size: rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"), Offset: rapid.Int64Range(13, 1<<50).Draw(t, "offset")}
		switch kind {
		case pack.OfsDelta:
			e.BaseOffset = rapid.Int64Range(12, e.Offset-1).Draw(t, "base")
		case pack.RefDelta:
			copy(e.BaseID[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "id"))
		}
		b := pack.AppendEntryHeader(nil, e)
		if len(b) > pack.MaxEntryHeader {
			t.Fatalf("header of %d bytes", len(b))
		}
		e.DataOffset = e.Offset + int64(len(b))
		got, err := pack.ParseEntry(append(b, 0xff), e.Offset)
		if err != nil || got != e {
			t.Fatalf("%+v became %+v, %v", e, got, err)
		}
		for i := range b {
			if _, err := pack.ParseEntry(b[:i], e.Offset); !errors.Is(err, pack.ErrShort) {
				t.Fatalf("%d of %d bytes: %v", i, len(b), err)
			}
		}
	})
}

func TestParseEntry_refused(t *testing.T) {
	for name, b := range map[string][]byte{
		"type 0":            {0x00},
		"type 5":            {0x50},
		"size over 63 bits": bytes.Repeat([]byte{0xff}, 12),
		"own base":          {0x60, 0x00},
		"base before pack":  {0x60, 0x7f},
		"endless distance":  append([]byte{0x60}, bytes.Repeat([]byte{0xff}, 20)...),
	} {
		var corrupt *pack.CorruptError
		if e, err := pack.ParseEntry(b, 50); !errors.As(err, &corrupt) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// drawDelta makes a base and a delta against it, with what the delta makes.
func drawDelta(t *rapid.T) (base, delta, result []byte) {
	base = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "base")
	if rapid.Bool().Draw(t, "large") {
		base = bytes.Repeat(append(base, 'x'), 70_000/(len(base)+1)+1)
	}
	var ops []byte
	for range rapid.IntRange(0, 20).Draw(t, "ops") {
		if len(base) > 0 && rapid.Bool().Draw(t, "copy") {
			offset := rapid.IntRange(0, len(base)-1).Draw(t, "offset")
			length := rapid.IntRange(1, min(len(base)-offset, 1<<16)).Draw(t, "length")
			ops = appendCopy(ops, offset, length)
			result = append(result, base[offset:offset+length]...)
		} else {
			piece := rapid.SliceOfN(rapid.Byte(), 1, 127).Draw(t, "insert")
			ops = append(append(ops, byte(len(piece))), piece...)
			result = append(result, piece...)
		}
	}
	return base, append(deltaHeader(len(base), len(result)), ops...), result
}

func appendCopy(b []byte, offset, length int) []byte {
	at := len(b)
	b = append(b, 0x80)
	for i := range 4 {
		if c := byte(offset >> (8 * i)); c != 0 {
			b[at] |= 1 << i
			b = append(b, c)
		}
	}
	for i := range 3 {
		if c := byte(length >> (8 * i)); c != 0 && length != 1<<16 {
			b[at] |= 0x10 << i
			b = append(b, c)
		}
	}
	return b
}

func deltaHeader(sizes ...int) (b []byte) {
	for _, size := range sizes {
		for ; size >= 0x80; size >>= 7 {
			b = append(b, byte(size)|0x80)
		}
		b = append(b, byte(size))
	}
	return b
}

// patch applies a delta the way that needs no memory.
func patch(base, delta []byte) ([]byte, error) {
	baseSize, size, n, err := pack.ParseDeltaHeader(delta)
	if err != nil || baseSize != int64(len(base)) {
		return nil, errors.New("header")
	}
	var result bytes.Buffer
	err = pack.PatchDelta(&result, bytes.NewReader(base), baseSize, size, bufio.NewReader(bytes.NewReader(delta[n:])))
	return result.Bytes(), err
}

func TestApplyDelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, delta, want := drawDelta(t)
		got, err := pack.ApplyDelta(base, delta, int64(len(want)))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
		}
		if got, err := patch(base, delta); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("patched: %d bytes, %v; want %d", len(got), err, len(want))
		}
		if len(want) > 0 {
			var size *pack.SizeError
			if _, err := pack.ApplyDelta(base, delta, int64(len(want))-1); !errors.As(err, &size) || size.Size != int64(len(want)) {
				t.Fatalf("over the limit: %v", err)
			}
		}
	})
}

func TestApplyDelta_refused(t *testing.T) {
	base := []byte("0123456789")
	for name, delta := range map[string][]byte{
		"empty":             {},
		"half a header":     {10},
		"endless size":      bytes.Repeat([]byte{0xff}, 30),
		"other base":        append(deltaHeader(9, 1), 1, 'x'),
		"too little":        append(deltaHeader(10, 5), 1, 'x'),
		"too much":          append(deltaHeader(10, 1), 2, 'x', 'y'),
		"reserved":          append(deltaHeader(10, 1), 0),
		"cut insert":        append(deltaHeader(10, 5), 5, 'x'),
		"cut copy":          append(deltaHeader(10, 5), 0x91, 1),
		"copy beyond":       append(deltaHeader(10, 5), appendCopy(nil, 8, 5)...),
		"copy far beyond":   append(deltaHeader(10, 5), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"default copy size": append(deltaHeader(10, 1<<16), 0x80),
	} {
		var corrupt *pack.CorruptError
		if _, err := pack.ApplyDelta(base, delta, 1<<20); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := patch(base, delta); err == nil {
			t.Errorf("%s: patched", name)
		}
	}
}

func TestApplyDelta_sizeBeforeMemory(t *testing.T) {
	delta := append(deltaHeader(0, 1<<50), 1, 'x')
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, _ = pack.ApplyDelta(nil, delta, 1<<20)
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<10 {
		t.Errorf("%d bytes are allocated for a size of 2^50", allocated)
	}
}

// TestWriter_asGitReads writes a pack in all the ways there are and lets git index
// and verify it; then our index of it must be the same.
func TestWriter_asGitReads(t *testing.T) {
	blob := []byte(strings.Repeat("some text\n", 1000))
	delta := append(deltaHeader(len(blob), len(blob)+1), appendCopy(nil, 0, len(blob))...)
	delta = append(delta, 1, '!')
	changed := append(bytes.Clone(blob), '!')
	twice := append(deltaHeader(len(changed), 3), appendCopy(nil, 0, 3)...)

	var out bytes.Buffer
	w, err := pack.NewWriter(&out, 5)
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first := w.Offset()
	check(w.WriteObject(object.TypeBlob, blob, 6))
	second := w.Offset()
	check(w.WriteDelta(pack.Entry{Kind: pack.OfsDelta, BaseOffset: first}, delta, 1))
	check(w.WriteDelta(pack.Entry{Kind: pack.RefDelta, BaseID: object.Hash(object.TypeBlob, changed)}, twice, 9))
	deflated, err := w.Deflate([]byte("stored"), 1)
	check(err)
	check(w.WriteStored(pack.Entry{Kind: pack.Kind(object.TypeBlob), Size: 6}, bytes.Clone(deflated)))
	check(w.WriteStream(object.TypeBlob, 7, strings.NewReader("a blob\n"), 1))
	if err := w.WriteObject(object.TypeBlob, nil, 1); err == nil {
		t.Error("more entries than announced")
	}
	id, err := w.Close()
	check(err)

	header, err := pack.ParseEntry(out.Bytes()[second:], second)
	if err != nil || header.Kind != pack.OfsDelta || header.BaseOffset != first {
		t.Errorf("%+v, %v", header, err)
	}
	dir := t.TempDir()
	gitfstest.Git(t, dir, "init", "--quiet", "--bare", ".")
	if got := gitfstest.GitInput(t, dir, out.Bytes(), "index-pack", "--stdin", "--strict", "--rev-index"); !strings.HasSuffix(got, id.String()) {
		t.Errorf("git calls it %s, we %s", got, id)
	}
	for content, name := range map[string]string{"sto": "", string(changed): "", "som": object.Hash(object.TypeBlob, []byte("som")).String()} {
		if name != "" && gitfstest.Git(t, dir, "cat-file", "blob", name) != content {
			t.Errorf("git does not read %q", content)
		}
	}
}

func TestWriter_tooFew(t *testing.T) {
	w, err := pack.NewWriter(io.Discard, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err == nil {
		t.Error("two entries are missing")
	}
}

// gitIndex packs a repository and returns what git wrote.
func gitIndex(t testing.TB) (info git.Pack, idx, rev []byte) {
	t.Helper()
	path := gitfstest.PackFile(t, gitfstest.NewRepository(t, 40))
	read := func(suffix string) []byte {
		data, err := os.ReadFile(strings.TrimSuffix(path, ".pack") + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	return gitfstest.DescribePack(t, path), read(".idx"), read(".rev")
}

func TestIndex_asGitWrites(t *testing.T) {
	info, idx, rev := gitIndex(t)
	if err := pack.CheckIndex(idx, info.ID); err != nil {
		t.Error(err)
	}
	if err := pack.CheckIndex(rev, info.ID); err != nil {
		t.Error(err)
	}
	x, err := pack.ParseIndex(idx, rev)
	if err != nil {
		t.Fatal(err)
	}
	computed, err := pack.ParseIndex(idx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if x.PackID() != info.ID || int64(x.Len()) != info.Objects {
		t.Errorf("%s, %d objects", x.PackID(), x.Len())
	}
	var entries []pack.IndexEntry
	last := int64(0)
	for i := range x.Len() {
		if pos, ok := x.Find(x.ID(i)); !ok || pos != i {
			t.Fatalf("position %d is found at %d, %v", i, pos, ok)
		}
		pos := x.ByOffset(i)
		if pos != computed.ByOffset(i) || x.Offset(pos) <= last {
			t.Fatalf("entry %d: position %d or %d at %d", i, pos, computed.ByOffset(i), x.Offset(pos))
		}
		last = x.Offset(pos)
		if found, n, ok := x.PosAtOffset(last); !ok || found != pos || n != i {
			t.Fatalf("at %d: %d, %d, %v", last, found, n, ok)
		}
		if _, _, ok := x.PosAtOffset(last + 1); ok {
			t.Fatalf("an entry at %d", last+1)
		}
		entries = append(entries, pack.IndexEntry{ID: x.ID(i), CRC: x.CRC(i), Offset: x.Offset(i)})
	}
	var ourIdx, ourRev bytes.Buffer
	if err := pack.WriteIndex(&ourIdx, entries, info.ID); err != nil || !bytes.Equal(ourIdx.Bytes(), idx) {
		t.Errorf("index differs from git's, %v", err)
	}
	if err := pack.WriteReverse(&ourRev, entries, info.ID); err != nil || !bytes.Equal(ourRev.Bytes(), rev) {
		t.Errorf("reverse index differs from git's, %v", err)
	}
	for i := range 2 {
		broken := bytes.Clone([][]byte{idx, rev}[i])
		broken[len(broken)/2] ^= 1
		if pack.CheckIndex(broken, info.ID) == nil {
			t.Error("a flipped bit is not noticed")
		}
	}
	if pack.CheckIndex(idx, git.ObjectID{1}) == nil {
		t.Error("of another pack")
	}
}

func TestIndex_largeOffsets(t *testing.T) {
	entries := []pack.IndexEntry{
		{ID: git.ObjectID{1}, Offset: 5 << 30},
		{ID: git.ObjectID{2}, Offset: 12},
		{ID: git.ObjectID{2, 1}, Offset: 1<<31 - 1},
		{ID: git.ObjectID{0xff}, Offset: 1 << 31},
	}
	var idx, rev bytes.Buffer
	if err := errors.Join(pack.WriteIndex(&idx, entries, git.ZeroID), pack.WriteReverse(&rev, entries, git.ZeroID)); err != nil {
		t.Fatal(err)
	}
	x, err := pack.ParseIndex(idx.Bytes(), rev.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if x.ID(i) != e.ID || x.Offset(i) != e.Offset {
			t.Errorf("%d: %s at %d", i, x.ID(i), x.Offset(i))
		}
	}
	if x.ByOffset(0) != 1 || x.ByOffset(3) != 0 {
		t.Error("order of offsets")
	}
	from, to := x.WithPrefix(git.ObjectID{2}, 8)
	if from != 1 || to != 3 {
		t.Errorf("prefix finds [%d, %d)", from, to)
	}
	if from, to := x.WithPrefix(git.ObjectID{}, 0); from != 0 || to != 4 {
		t.Errorf("no prefix finds [%d, %d)", from, to)
	}
	if from, to := x.WithPrefix(git.ObjectID{2, 1, 0xff}, 12); from != 1 || to != 3 {
		t.Errorf("odd prefix finds [%d, %d)", from, to)
	}
	// Git accepts it, too.
	path := filepath.Join(t.TempDir(), "x.idx")
	if err := os.WriteFile(path, idx.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := gitfstest.GitInput(t, "", idx.Bytes(), "show-index"); !strings.Contains(got, "5368709120 01") {
		t.Errorf("git reads %s", got)
	}
}

func TestInflate(t *testing.T) {
	w, err := pack.NewWriter(io.Discard, 0)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte(strings.Repeat("content ", 1000))
	stored, err := w.Deflate(content, 6)
	if err != nil {
		t.Fatal(err)
	}
	stored = append(bytes.Clone(stored), "what follows"...)
	size := int64(len(content))
	if got, err := pack.Inflate(stored, size); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, wrong := range []int64{0, 1, size - 1, size + 1, 2 * size} {
		var corrupt *pack.CorruptError
		if _, err := pack.Inflate(stored, wrong); !errors.As(err, &corrupt) {
			t.Errorf("size %d instead of %d: %v", wrong, size, err)
		}
		r, err := pack.NewStream(bytes.NewReader(stored), wrong)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.As(err, &corrupt) {
			t.Errorf("stream of size %d instead of %d: %v", wrong, size, err)
		}
	}
	for _, broken := range [][]byte{nil, stored[:1], stored[:20], []byte("no zlib stream at all"), append(bytes.Clone(stored[:10]), stored[12:]...)} {
		var corrupt *pack.CorruptError
		if _, err := pack.Inflate(broken, size); !errors.As(err, &corrupt) {
			t.Errorf("%d bytes: %v", len(broken), err)
		}
	}
	if start, err := pack.InflatePrefix(stored[:30], 10); err != nil || !bytes.HasPrefix(content, start) {
		t.Errorf("prefix %q, %v", start, err)
	}
	r, err := pack.NewStream(bytes.NewReader(stored), size)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) || r.Close() != nil {
		t.Errorf("stream: %d bytes, %v", len(got), err)
	}
}

// TestInflate_levels reads what every level makes of contents of many sizes and kinds.
func TestInflate_levels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var content []byte
		for range rapid.IntRange(0, 20).Draw(t, "pieces") {
			piece := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "piece")
			content = append(content, bytes.Repeat(piece, rapid.IntRange(1, 200).Draw(t, "times"))...)
			if back := rapid.IntRange(0, len(content)).Draw(t, "back"); back > 0 {
				content = append(content, content[len(content)-back:]...)
			}
		}
		level := rapid.IntRange(zlib.HuffmanOnly, zlib.BestCompression).Draw(t, "level")
		var stored bytes.Buffer
		w, err := zlib.NewWriterLevel(&stored, level)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := pack.Inflate(append(stored.Bytes(), "what follows"...), int64(len(content)))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes of level %d are read as %d bytes, %v", len(content), level, len(got), err)
		}
	})
}

// BenchmarkInflate reads a stream of the size that most entries of a pack have, and a longer one.
func BenchmarkInflate(b *testing.B) {
	source, err := os.ReadFile("pack_test.go")
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{500, 2000, len(source)} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			var stored bytes.Buffer
			w := zlib.NewWriter(&stored) // the level that git uses
			if _, err := w.Write(source[:size]); err != nil || w.Close() != nil {
				b.Fatal(err)
			}
			out := make([]byte, size)
			b.Run("memory", func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if err := pack.InflateInto(out, stored.Bytes()); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("library", func(b *testing.B) {
				b.SetBytes(int64(size))
				var inflater pack.Inflater
				source := bytes.NewReader(nil)
				for b.Loop() {
					source.Reset(stored.Bytes())
					if err := inflater.Reset(source, int64(size)); err != nil {
						b.Fatal(err)
					}
					if err := inflater.ReadAll(out); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
