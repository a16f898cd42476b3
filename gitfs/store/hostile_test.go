package store_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
	"github.com/annal-git/annal/gitfs/store"
)

// forger writes packs that git would not.
type forger struct {
	t       testing.TB
	body    bytes.Buffer
	objects uint32
	zlib    *zlib.Writer
}

func forge(t testing.TB) *forger { return &forger{t: t, zlib: zlib.NewWriter(nil)} }

// offset is where the next entry starts.
func (f *forger) offset() int64 { return pack.HeaderSize + int64(f.body.Len()) }

// raw adds an entry with whatever header and content.
func (f *forger) raw(e pack.Entry, content []byte) int64 {
	e.Offset = f.offset()
	f.body.Write(pack.AppendEntryHeader(nil, e))
	f.zlib.Reset(&f.body)
	if _, err := f.zlib.Write(content); err != nil {
		f.t.Fatal(err)
	}
	if err := f.zlib.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.objects++
	return e.Offset
}

func (f *forger) object(typ object.Type, content string) git.ObjectID {
	f.raw(pack.Entry{Kind: pack.Kind(typ), Size: int64(len(content))}, []byte(content))
	return object.Hash(typ, []byte(content))
}

func (f *forger) blob(content string) git.ObjectID { return f.object(object.TypeBlob, content) }

// ballast makes the pack a large one. It is the same every time.
func (f *forger) ballast() {
	content := make([]byte, store.SmallPack)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	f.blob(string(content))
}

func (f *forger) tree(entries ...string) git.ObjectID {
	return f.object(object.TypeTree, strings.Join(entries, ""))
}

func (f *forger) ofsDelta(base int64, delta []byte) int64 {
	return f.raw(pack.Entry{Kind: pack.OfsDelta, BaseOffset: base, Size: int64(len(delta))}, delta)
}

func (f *forger) refDelta(base git.ObjectID, delta []byte) int64 {
	return f.raw(pack.Entry{Kind: pack.RefDelta, BaseID: base, Size: int64(len(delta))}, delta)
}

// bytes is the pack with a right trailer.
func (f *forger) bytes() []byte { return f.announcing(f.objects) }

// announcing is the pack with another number of objects in its header.
func (f *forger) announcing(n uint32) []byte {
	packed := append(pack.AppendHeader(nil, n), f.body.Bytes()...)
	sum := sha1.Sum(packed)
	return append(packed, sum[:]...)
}

// treeEntry is a line of a tree.
func treeEntry(mode, name string, id git.ObjectID) string {
	return mode + " " + name + "\x00" + string(id[:])
}

func commitText(tree git.ObjectID, parents ...git.ObjectID) string {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	b.WriteString("author A <a> 1 +0000\ncommitter C <c> 1 +0000\n\nm\n")
	return b.String()
}

// replaceDelta makes result of a base of the given size without using it.
func replaceDelta(baseSize int, result string) []byte {
	delta := sizes(baseSize, len(result))
	for len(result) > 0 {
		n := min(len(result), 127)
		delta = append(append(delta, byte(n)), result[:n]...)
		result = result[n:]
	}
	return delta
}

// appendDelta makes base + tail; base must be short.
func appendDelta(base, tail string) []byte {
	delta := append(sizes(len(base), len(base)+len(tail)), 0x80|0x10|0x20, byte(len(base)), byte(len(base)>>8))
	return append(append(delta, byte(len(tail))), tail...)
}

func sizes(sizes ...int) (b []byte) {
	for _, size := range sizes {
		b = binary.AppendUvarint(b, uint64(size))
	}
	return b
}

// refuse receives a pack that must be refused, with an error of type E, and sees
// that nothing is left.
func refuse[E error](t *testing.T, s *store.Store, config store.Config, base *store.Objects, packed []byte, limits store.Limits) E {
	t.Helper()
	var want E
	q, err := s.Receive(t.Context(), storage, base, bytes.NewReader(packed), store.ReceiveOptions{ToEnd: true, Limits: limits})
	if err == nil {
		_ = q.Discard()
		t.Fatalf("it is accepted")
	}
	if !errors.As(err, &want) {
		t.Fatalf("%T: %v; want %T", err, err, want)
	}
	if message := err.Error(); strings.Contains(message, config.LocalHome) || strings.Contains(message, config.SharedHome) || strings.Contains(message, "\n") {
		t.Errorf("not fit for users: %q", message)
	}
	noJunk(t, config)
	return want
}

func TestReceive_refusesCorruptPacks(t *testing.T) {
	s, config := open(t)
	good := func() *forger {
		f := forge(t)
		f.blob("a blob\n")
		f.tree()
		return f
	}
	entry := func(change func(*forger)) []byte {
		f := good()
		change(f)
		return f.bytes()
	}
	cases := map[string][]byte{
		"empty":                    {},
		"no pack":                  []byte("this is no pack at all, but it is long enough"),
		"version 4":                append([]byte("PACK\x00\x00\x00\x04"), good().bytes()[8:]...),
		"one entry more":           good().announcing(1),
		"one entry fewer":          good().announcing(3),
		"garbage after":            append(good().bytes(), 'x'),
		"two packs":                append(good().bytes(), good().bytes()...),
		"flipped checksum":         func() []byte { b := good().bytes(); b[len(b)-1] ^= 1; return b }(),
		"type 0":                   entry(func(f *forger) { f.raw(pack.Entry{Kind: 0, Size: 1}, []byte("x")) }),
		"type 5":                   entry(func(f *forger) { f.raw(pack.Entry{Kind: 5, Size: 1}, []byte("x")) }),
		"says less":                entry(func(f *forger) { f.raw(pack.Entry{Kind: 3, Size: 10}, make([]byte, 1<<20)) }),
		"says more":                entry(func(f *forger) { f.raw(pack.Entry{Kind: 3, Size: 10}, []byte("x")) }),
		"tree says less":           entry(func(f *forger) { f.raw(pack.Entry{Kind: 2, Size: 10}, make([]byte, 1<<20)) }),
		"object twice":             entry(func(f *forger) { f.blob("a blob\n") }),
		"delta makes object again": entry(func(f *forger) { f.ofsDelta(12, replaceDelta(7, "a blob\n")) }),
		"delta of wrong base size": entry(func(f *forger) { f.ofsDelta(12, replaceDelta(8, "x")) }),
		"delta lies about result":  entry(func(f *forger) { f.ofsDelta(12, append(sizes(7, 100), 1, 'x')) }),
		"delta is empty":           entry(func(f *forger) { f.ofsDelta(12, nil) }),
		"delta into an entry":      entry(func(f *forger) { f.ofsDelta(13, replaceDelta(7, "x")) }),
		"delta before the pack":    entry(func(f *forger) { f.ofsDelta(3, replaceDelta(7, "x")) }),
		"not zlib": entry(func(f *forger) {
			f.body.Write(append(pack.AppendEntryHeader(nil, pack.Entry{Kind: 3, Size: 5}), "no zlib stream"...))
			f.objects++
		}),
	}
	for name, packed := range cases {
		t.Run(name, func(t *testing.T) { _ = refuse[*store.CorruptPackError](t, s, config, nil, packed, store.Limits{}) })
	}
}

func TestReceive_refusesEveryCutAndFlip(t *testing.T) {
	s, config := open(t)
	f := forge(t)
	blob := f.blob("a blob\n")
	f.ofsDelta(12, replaceDelta(7, "another\n"))
	f.tree(treeEntry("100644", "a", blob))
	packed := f.bytes()
	if q := receive(t, s, nil, packed); q.Pack().Objects != 3 {
		t.Fatal("the pack itself is wrong")
	}
	for i := range packed {
		_ = refuse[error](t, s, config, nil, packed[:i], store.Limits{})
		flipped := bytes.Clone(packed)
		flipped[i] ^= 1 << (i % 8)
		_ = refuse[error](t, s, config, nil, flipped, store.Limits{})
	}
}

func TestReceive_limits(t *testing.T) {
	s, config := open(t)
	f := forge(t)
	f.blob(strings.Repeat("x", 100_000))
	f.ofsDelta(12, replaceDelta(100_000, strings.Repeat("y", 50_000)))
	f.blob("small")
	packed := f.bytes()
	for name, limits := range map[string]store.Limits{
		"pack bytes":     {PackBytes: 100},
		"objects":        {Objects: 2},
		"object bytes":   {ObjectBytes: 99_999},
		"delta result":   {ObjectBytes: 49_999},
		"inflated bytes": {InflatedBytes: 149_999},
	} {
		t.Run(name, func(t *testing.T) {
			over := refuse[*store.LimitError](t, s, config, nil, packed, limits)
			if !strings.Contains(over.Error(), fmt.Sprint(over.Limit)) {
				t.Errorf("%q does not name the limit", over)
			}
		})
	}
	receive(t, s, nil, packed)
}

// zeros is a stream of zeros that nobody holds in memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestReceive_bombs: what becomes huge must be refused without becoming huge.
func TestReceive_bombs(t *testing.T) {
	s, config := open(t)
	t.Run("blob of zeros", func(t *testing.T) {
		f := forge(t)
		f.body.Write(pack.AppendEntryHeader(nil, pack.Entry{Kind: 3, Size: 600 << 20}))
		zw, err := zlib.NewWriterLevel(&f.body, zlib.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(zw, zeros{}, 600<<20); err != nil {
			t.Fatal(err)
		}
		if err := zw.Close(); err != nil {
			t.Fatal(err)
		}
		f.objects = 1
		_ = refuse[*store.LimitError](t, s, config, nil, f.bytes(), store.Limits{})
	})
	t.Run("delta of copies", func(t *testing.T) {
		f := forge(t)
		base := strings.Repeat("x", 1<<16)
		f.blob(base)
		delta := sizes(len(base), 64<<30)
		delta = append(delta, bytes.Repeat([]byte{0x80}, 64<<30>>16)...)
		f.ofsDelta(12, delta)
		_ = refuse[*store.LimitError](t, s, config, nil, f.bytes(), store.Limits{})
	})
	t.Run("many deltas of copies", func(t *testing.T) {
		f := forge(t)
		base := strings.Repeat("x", 1<<16)
		f.blob(base)
		for i := range 40 {
			delta := append(sizes(len(base), 500<<20+1), bytes.Repeat([]byte{0x80}, 500<<20>>16)...)
			f.ofsDelta(12, append(delta, 1, byte(i)))
		}
		_ = refuse[*store.LimitError](t, s, config, nil, f.bytes(), store.Limits{})
	})
	t.Run("deep chain by offset", func(t *testing.T) {
		f := forge(t)
		f.blob("0")
		last := int64(12)
		for i := range 100_000 {
			last = f.ofsDelta(last, replaceDelta(len(fmt.Sprint(i)), fmt.Sprint(i+1)))
		}
		_ = refuse[*store.LimitError](t, s, config, nil, f.bytes(), store.Limits{})
	})
	t.Run("deep chain by id", func(t *testing.T) {
		f := forge(t)
		base := "base"
		id := f.blob(base)
		for i := range 5000 {
			next := fmt.Sprintf("object %d", i)
			f.refDelta(id, replaceDelta(len(base), next))
			base, id = next, object.Hash(object.TypeBlob, []byte(next))
		}
		_ = refuse[*store.LimitError](t, s, config, nil, f.bytes(), store.Limits{})
	})
}

func TestReceive_linksMustBeThere(t *testing.T) {
	s, config := open(t)
	absent := git.ObjectID{0xab}
	for name, test := range map[string]struct {
		build func(f *forger) git.ObjectID // returns the object with the link
		typ   bool                         // the link is there, but of another type
	}{
		"commit to tree":   {build: func(f *forger) git.ObjectID { return f.object(object.TypeCommit, commitText(absent)) }},
		"commit to parent": {build: func(f *forger) git.ObjectID { return f.object(object.TypeCommit, commitText(f.tree(), absent)) }},
		"tree to blob":     {build: func(f *forger) git.ObjectID { return f.tree(treeEntry("100644", "a", absent)) }},
		"tree to tree":     {build: func(f *forger) git.ObjectID { return f.tree(treeEntry("40000", "a", absent)) }},
		"tag": {build: func(f *forger) git.ObjectID {
			return f.object(object.TypeTag, "object "+absent.String()+"\ntype commit\ntag v\n\n")
		}},
		"commit to a blob": {typ: true, build: func(f *forger) git.ObjectID { return f.object(object.TypeCommit, commitText(f.blob("x"))) }},
		"blob as a tree":   {typ: true, build: func(f *forger) git.ObjectID { return f.tree(treeEntry("40000", "a", f.blob("x"))) }},
		"tree as a blob":   {typ: true, build: func(f *forger) git.ObjectID { return f.tree(treeEntry("100644", "a", f.tree())) }},
		"tag of other type": {typ: true, build: func(f *forger) git.ObjectID {
			return f.object(object.TypeTag, "object "+f.tree().String()+"\ntype commit\ntag v\n\n")
		}},
		"type found out late": {typ: true, build: func(f *forger) git.ObjectID {
			id := f.tree(treeEntry("40000", "a", object.Hash(object.TypeBlob, []byte("late"))))
			f.blob("late")
			return id
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t)
			from := test.build(f)
			f.blob("some other object, so that there could be more to come")
			if test.typ {
				_ = refuse[*store.CorruptPackError](t, s, config, nil, f.bytes(), store.Limits{})
				return
			}
			missing := refuse[*store.MissingError](t, s, config, nil, f.bytes(), store.Limits{})
			if missing.From != from || missing.ID != absent {
				t.Errorf("%+v", missing)
			}
		})
	}
	t.Run("gitlink", func(t *testing.T) {
		f := forge(t)
		f.tree(treeEntry("160000", "module", absent))
		receive(t, s, nil, f.bytes())
	})
	t.Run("more links than objects can come", func(t *testing.T) {
		f := forge(t)
		var entries []string
		for i := range 1000 {
			entries = append(entries, treeEntry("100644", fmt.Sprintf("%04d", i), git.ObjectID{1, byte(i), byte(i >> 8)}))
		}
		f.tree(entries...)
		_ = refuse[*store.MissingError](t, s, config, nil, f.bytes(), store.Limits{})
	})
}

func TestReceive_linksIntoRepository(t *testing.T) {
	s, config := open(t)
	f := forge(t)
	blob := f.blob("x")
	tree := f.tree(treeEntry("100644", "a", blob))
	f.object(object.TypeCommit, commitText(tree))
	packs := push(t, s, nil, f.bytes())
	base := pin(t, s, packs...)

	f = forge(t)
	f.object(object.TypeCommit, commitText(tree, object.Hash(object.TypeCommit, []byte(commitText(tree)))))
	f.tree(treeEntry("100644", "b", blob), treeEntry("40000", "c", tree))
	receive(t, s, base, f.bytes())

	for name, bad := range map[string]string{
		"blob as tree": treeEntry("40000", "a", blob),
		"tree as blob": treeEntry("100644", "a", tree),
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t)
			f.tree(bad)
			_ = refuse[*store.CorruptPackError](t, s, config, base, f.bytes(), store.Limits{})
		})
	}
	t.Run("of another repository", func(t *testing.T) {
		f := forge(t)
		f.tree(treeEntry("100644", "b", blob))
		_ = refuse[*store.MissingError](t, s, config, nil, f.bytes(), store.Limits{})
	})
}

func TestReceive_fsck(t *testing.T) {
	s, config := open(t)
	for name, test := range map[string]struct {
		kind  string
		build func(f *forger)
	}{
		"dot git":   {"hasDotgit", func(f *forger) { f.tree(treeEntry("40000", ".git", f.tree())) }},
		"unsorted":  {"treeNotSorted", func(f *forger) { b := f.blob(""); f.tree(treeEntry("100644", "b", b), treeEntry("100644", "a", b)) }},
		"no author": {"missingAuthor", func(f *forger) { f.object(object.TypeCommit, "tree "+f.tree().String()+"\n\n") }},
		"as a delta": {"treeNotSorted", func(f *forger) {
			b := f.blob("")
			f.ofsDelta(func() int64 { at := f.offset(); f.tree(treeEntry("100644", "a", b)); return at }(),
				replaceDelta(29, treeEntry("100644", "b", b)+treeEntry("100644", "a", b)))
		}},
		"gitmodules url": {"gitmodulesUrl", func(f *forger) {
			f.tree(treeEntry("100644", ".gitmodules", f.blob("[submodule \"m\"]\n\turl = -u./payload\n")))
		}},
		"gitmodules after the tree": {"gitmodulesName", func(f *forger) {
			const content = "[submodule \"../../m\"]\n\turl = x\n"
			f.tree(treeEntry("100644", "GITMOD~1", object.Hash(object.TypeBlob, []byte(content))))
			f.blob(content)
		}},
		"gitmodules as link": {"gitmodulesSymlink", func(f *forger) { f.tree(treeEntry("120000", ".gitmodules", f.blob("x"))) }},
		"gitattributes with a long line": {"gitattributesLineLength", func(f *forger) {
			f.tree(treeEntry("100644", ".gitattributes", f.blob(strings.Repeat("x", 1<<20))))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := forge(t)
			test.build(f)
			refused := refuse[*object.CheckError](t, s, config, nil, f.bytes(), store.Limits{})
			if refused.Kind != test.kind {
				t.Errorf("%v", refused)
			}
		})
	}
}

// TestReceive_specialFileInRepository: the tree comes later than the blob.
func TestReceive_specialFileInRepository(t *testing.T) {
	s, config := open(t)
	f := forge(t)
	blob := f.blob("[submodule \"m\"]\n\turl = -x\n")
	base := pin(t, s, push(t, s, nil, f.bytes())...)
	f = forge(t)
	f.tree(treeEntry("100644", ".gitmodules", blob))
	_ = refuse[*object.CheckError](t, s, config, base, f.bytes(), store.Limits{})
}

func TestReceive_folderDepth(t *testing.T) {
	s, config := open(t)
	nested := func(n int) []byte {
		f := forge(t)
		tree := f.tree()
		for range n {
			tree = f.tree(treeEntry("40000", "d", tree))
		}
		return f.bytes()
	}
	_ = refuse[*store.LimitError](t, s, config, nil, nested(10_000), store.Limits{})
	receive(t, s, nil, nested(2040))
}

func TestReceive_tagDepth(t *testing.T) {
	s, config := open(t)
	tags := func(f *forger, target git.ObjectID, typ string, n int) git.ObjectID {
		for i := range n {
			target = f.object(object.TypeTag, fmt.Sprintf("object %s\ntype %s\ntag v%d\n\n", target, typ, i))
			typ = "tag"
		}
		return target
	}
	f := forge(t)
	tags(f, f.tree(), "tree", 20)
	_ = refuse[*store.LimitError](t, s, config, nil, f.bytes(), store.Limits{})

	f = forge(t)
	last := tags(f, f.tree(), "tree", 10)
	base := pin(t, s, push(t, s, nil, f.bytes())...)
	f = forge(t)
	tags(f, last, "tag", 10)
	_ = refuse[*store.LimitError](t, s, config, base, f.bytes(), store.Limits{})
}

// TestReceive_refDeltas: a base named by id may come later, be a delta itself, or
// be both in the pack and in the repository.
func TestReceive_refDeltas(t *testing.T) {
	id := func(content string) git.ObjectID { return object.Hash(object.TypeBlob, []byte(content)) }
	want := func(t *testing.T, r store.Reader, contents ...string) {
		t.Helper()
		for _, content := range contents {
			if _, data, err := r.Read(t.Context(), id(content)); err != nil || string(data) != content {
				t.Errorf("%q: %q, %v", content, data, err)
			}
		}
	}
	t.Run("in any order", func(t *testing.T) {
		s, config := open(t)
		f := forge(t)
		f.refDelta(id("three"), appendDelta("three", "+four"))
		f.refDelta(id("two"), replaceDelta(3, "three"))
		f.refDelta(id("one"), replaceDelta(3, "two"))
		f.blob("one")
		packs := push(t, s, nil, f.bytes())
		compareIndexes(t, config, packs[0])
		want(t, pin(t, s, packs...), "one", "two", "three", "three+four")
	})
	t.Run("missing base", func(t *testing.T) {
		s, config := open(t)
		f := forge(t)
		f.refDelta(id("one"), replaceDelta(3, "two"))
		missing := refuse[*store.MissingError](t, s, config, nil, f.bytes(), store.Limits{})
		if missing.ID != id("one") {
			t.Errorf("%v", missing)
		}
	})
	t.Run("circle", func(t *testing.T) {
		s, config := open(t)
		f := forge(t)
		f.refDelta(id("one"), replaceDelta(3, "two"))
		f.refDelta(id("two"), replaceDelta(3, "one"))
		_ = refuse[*store.MissingError](t, s, config, nil, f.bytes(), store.Limits{})
	})
	t.Run("base in pack and repository", func(t *testing.T) {
		s, config := open(t)
		f := forge(t)
		f.blob("one")
		f.blob("two")
		packs := push(t, s, nil, f.bytes())
		// "two" is in the pack again, against "one", which only the repository has.
		f = forge(t)
		f.refDelta(id("two"), replaceDelta(3, "three"))
		f.refDelta(id("one"), replaceDelta(3, "two"))
		packs = push(t, s, packs, f.bytes())
		compareIndexes(t, config, packs[1])
		want(t, pin(t, s, packs[1]), "one", "two", "three")
	})
	t.Run("circle through the repository", func(t *testing.T) {
		s, config := open(t)
		f := forge(t)
		f.blob("one")
		f.blob("two")
		base := pin(t, s, push(t, s, nil, f.bytes())...)
		f = forge(t)
		f.refDelta(id("one"), replaceDelta(3, "two"))
		f.refDelta(id("two"), replaceDelta(3, "one"))
		_ = refuse[*store.CorruptPackError](t, s, config, base, f.bytes(), store.Limits{})
	})
}

// TestReceive_bigObjects has a limit of memory so low that bases, deltas and
// results go through files.
func TestReceive_bigObjects(t *testing.T) {
	s, config := open(t, func(c *store.Config) { c.Limits.MemoryObject = 2000 })
	f := forge(t)
	big := strings.Repeat("0123456789", 500)
	f.blob(big)                                                             // base too large
	f.ofsDelta(12, appendDelta(big, "tail"))                                // result too large
	small := f.ofsDelta(12, replaceDelta(len(big), "small"))                // result fits
	f.ofsDelta(small, replaceDelta(5, strings.Repeat("another big ", 400))) // delta too large
	f.refDelta(object.Hash(object.TypeBlob, []byte("small")), replaceDelta(5, "smaller"))
	packs := push(t, s, nil, f.bytes())
	compareIndexes(t, config, packs[0])
	o := pin(t, s, packs...)
	for _, content := range []string{big, big + "tail", "small", strings.Repeat("another big ", 400), "smaller"} {
		id := object.Hash(object.TypeBlob, []byte(content))
		typ, size, r, err := o.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || r.Close() != nil || typ != object.TypeBlob || size != int64(len(content)) || string(got) != content {
			t.Errorf("%.10q: %d bytes, %v", content, len(got), err)
		}
		_, data, err := o.Read(t.Context(), id)
		if len(content) <= 2000 && (err != nil || string(data) != content) {
			t.Errorf("%.10q in memory: %v", content, err)
		}
		var tooLarge *store.TooLargeError
		if len(content) > 2000 && !errors.As(err, &tooLarge) {
			t.Errorf("%.10q in memory: %v", content, err)
		}
	}
	// A thin pack against what does not fit into memory.
	f = forge(t)
	f.refDelta(object.Hash(object.TypeBlob, []byte(big+"tail")), replaceDelta(len(big)+4, "thin"))
	packs = push(t, s, packs, f.bytes())
	compareIndexes(t, config, packs[1])

	f = forge(t)
	var entries []string
	for i := range 100 {
		entries = append(entries, treeEntry("160000", fmt.Sprintf("%03d", i), git.ObjectID{1}))
	}
	f.tree(entries...)
	_ = refuse[*store.LimitError](t, s, config, nil, f.bytes(), store.Limits{})
	noJunk(t, config)
}

// TestReceive_waitingBases lets more bases wait than a worker may hold in memory.
func TestReceive_waitingBases(t *testing.T) {
	s, _ := open(t)
	f := forge(t)
	content := strings.Repeat("x", 6<<20)
	f.blob(content)
	last := int64(12)
	for i := range 20 { // each base has two children that have children
		delta := sizes(6<<20, 6<<20)
		for at := 0; at < 6<<20; at += 1 << 16 {
			if at == 0 {
				delta = append(append(delta, 2, byte('a'+i), 'x'), 0x81|0x10|0x20, 2, 0xfe, 0xff)
				continue
			}
			delta = append(delta, 0x80|0x04, byte(at>>16))
		}
		next := f.ofsDelta(last, delta)
		leaf := f.ofsDelta(last, replaceDelta(6<<20, fmt.Sprintf("leaf %d", i)))
		leaf = f.ofsDelta(leaf, replaceDelta(len(fmt.Sprintf("leaf %d", i)), fmt.Sprintf("leaf of leaf %d", i)))
		f.ofsDelta(leaf, replaceDelta(len(fmt.Sprintf("leaf of leaf %d", i)), fmt.Sprintf("last leaf %d", i)))
		last = next
	}
	q := receive(t, s, nil, f.bytes())
	if q.Pack().Objects != 81 {
		t.Errorf("%+v", q.Pack())
	}
}

// TestReceive_peerWaits: nothing is read beyond the pack when the peer keeps the
// connection open for the answer.
func TestReceive_peerWaits(t *testing.T) {
	s, _ := open(t)
	f := forge(t)
	f.blob("x")
	in, out := io.Pipe()
	go func() { _, _ = out.Write(f.bytes()) }() // and no Close
	q, err := s.Receive(t.Context(), storage, nil, in, store.ReceiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Discard(); err != nil {
		t.Fatal(err)
	}
}

func TestReceive_peerVanishes(t *testing.T) {
	s, config := open(t)
	gone := errors.New("connection reset")
	f := forge(t)
	f.blob(strings.Repeat("x", 1000))
	packed := f.bytes()
	for i := range packed {
		_, err := s.Receive(t.Context(), storage, nil, io.MultiReader(bytes.NewReader(packed[:i]), failingReader{gone}), store.ReceiveOptions{})
		if !errors.Is(err, gone) {
			t.Fatalf("after %d bytes: %v", i, err)
		}
	}
	noJunk(t, config)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// FuzzReceive throws changed packs at the whole of Receive. What it accepts, git
// index-pack must accept as well: that is checked on the seeds by other tests.
func FuzzReceive(f *testing.F) {
	s, _ := open(f)
	seed := forge(f)
	blob := seed.blob("a blob\n")
	seed.ofsDelta(12, appendDelta("a blob\n", "changed"))
	tree := seed.tree(treeEntry("100644", "a", blob))
	seed.object(object.TypeCommit, commitText(tree))
	f.Add(seed.bytes()[12 : len(seed.bytes())-20])
	repository := gitfstest.NewRepository(f, 3)
	whole := packObjects(f, repository, "main\n")
	f.Add(whole[12 : len(whole)-20])
	f.Fuzz(func(t *testing.T, body []byte) {
		for n := uint32(1); n < 5; n++ {
			packed := append(pack.AppendHeader(nil, n), body...)
			sum := sha1.Sum(packed)
			q, err := s.Receive(t.Context(), storage, nil, bytes.NewReader(append(packed, sum[:]...)), store.ReceiveOptions{ToEnd: true})
			if err != nil {
				continue
			}
			for id, typ := range q.New() {
				got, data, err := q.View().Read(t.Context(), id)
				if err != nil || got != typ || object.Hash(typ, data) != id {
					t.Fatalf("%s %s: %s, %v", typ, id, got, err)
				}
			}
			if err := q.Discard(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
