package tree_test

import (
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/eventstore/tree"
)

// naiveRoot is RFC 6962, section 2.1, word for word.
func naiveRoot(leaves []tlog.Hash) tlog.Hash {
	switch n := len(leaves); n {
	case 0:
		root, _ := tlog.TreeHash(0, nil)
		return root
	case 1:
		return leaves[0]
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		return tlog.NodeHash(naiveRoot(leaves[:k]), naiveRoot(leaves[k:]))
	}
}

func TestFrontierIsTheTree(t *testing.T) {
	t.Parallel()
	var leaves []tlog.Hash
	var f tree.Frontier
	for i := range 700 {
		if f.Root() != naiveRoot(leaves) {
			t.Fatalf("root of %d leaves", i)
		}
		again, err := tree.NewFrontier(f.Size(), f.Hashes())
		if err != nil || again.Root() != f.Root() {
			t.Fatalf("frontier of %d leaves does not come back: %v", i, err)
		}
		leaf := tlog.RecordHash([]byte(strconv.Itoa(i)))
		leaves = append(leaves, leaf)
		f.Append(leaf)
	}
	if _, err := tree.NewFrontier(3, f.Hashes()[:1]); err == nil {
		t.Error("a frontier of a wrong number of hashes is taken")
	}
}

func TestPathsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]tree.Path{
		"tile/0/000":                 {Index: 0, Width: 256},
		"tile/0/x001/x234/067.p/17":  {Index: 1234067, Width: 17},
		"tile/2/005":                 {Level: 2, Index: 5, Width: 256},
		"tile/entries/000":           {Entries: true, Width: 256},
		"tile/entries/x001/000.p/1":  {Entries: true, Index: 1000, Width: 1},
		"tile/entries/large/x012/34": {},
		"tile/entries/large/012":     {Entries: true, Large: true, Index: 12, Width: 256},
		"tile/0/../000":              {},
		"tile/8/0/000":               {},
		"tile/0/000.p/256":           {},
		"tile/0/000.p/0":             {},
		"tile/-1/000":                {},
		"tile/data/000":              {},
		"tile/00/000":                {},
		"/tile/0/000":                {},
		"checkpoint":                 {},
	} {
		got, err := tree.ParsePath(path)
		if (want == tree.Path{}) {
			if err == nil {
				t.Errorf("%s is taken as %+v", path, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s is %+v (%v), want %+v", path, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := tree.Path{Level: rapid.IntRange(0, 7).Draw(t, "level"), Index: rapid.Int64Range(0, 1<<40).Draw(t, "index"), Width: rapid.IntRange(1, 256).Draw(t, "width")}
		if p.Entries = rapid.Bool().Draw(t, "entries"); p.Entries {
			p.Level = 0
			if p.Large = rapid.Bool().Draw(t, "large"); p.Large {
				p.Width = 256
			}
		}
		if got, err := tree.ParsePath(p.String()); err != nil || got != p {
			t.Fatalf("%+v comes back from %s as %+v: %v", p, p, got, err)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	f.Add("tile/0/x001/x234/067.p/17")
	f.Add("tile/entries/large/012")
	f.Fuzz(func(t *testing.T, path string) {
		if p, err := tree.ParsePath(path); err == nil && p.String() != path {
			t.Errorf("%q is also spelt %q", path, p)
		}
	})
}

func FuzzParseTile(f *testing.F) {
	f.Add(make([]byte, 64), 2)
	f.Add([]byte{0, 1, 'x', 0, 0}, 2)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		if hashes, err := tree.ParseTile(data, width); err == nil && len(hashes) != width {
			t.Errorf("a tile of %d hashes has %d", width, len(hashes))
		}
		if entries, err := tree.ParseBundle(data, width); err == nil && len(entries) != width {
			t.Errorf("a bundle of %d entries has %d", width, len(entries))
		}
	})
}
