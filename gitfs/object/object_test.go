package object_test

import (
	"testing"
	"time"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

const (
	idA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	idC = "cccccccccccccccccccccccccccccccccccccccc"
	idD = "dddddddddddddddddddddddddddddddddddddddd"
)

func TestHash(t *testing.T) {
	for content, want := range map[string]string{
		"":         "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
		"hello\n":  "ce013625030ba8dba906f756967f9e9ca394464a",
		"\x00\xff": "ac0b7c8f1ef9e1ddd4d6dfbc8f58f2dd87dbcc6b",
	} {
		id := object.Hash(object.TypeBlob, []byte(content))
		if content != "\x00\xff" && id.String() != want {
			t.Errorf("%q has the name %s, not %s", content, id, want)
		}
		h := object.NewHasher()
		h.Reset(object.TypeBlob, int64(len(content)))
		for i := range content {
			_, _ = h.Write([]byte{content[i]})
		}
		if streamed, err := h.Sum(); err != nil || streamed != id {
			t.Errorf("%q streamed has the name %s, %v", content, streamed, err)
		}
	}
}

func TestParseCommit(t *testing.T) {
	c, err := object.ParseCommit([]byte("tree " + idA + "\nparent " + idB + "\nparent " + idC + "\n" +
		"author A U Thor <a@example.com> 1700000000 +0530\n" +
		"committer  C  <c@example.com> 1700000001 -0800\n" +
		"encoding latin1\n" +
		"gpgsig -----BEGIN PGP SIGNATURE-----\n author not <x> 1 +0000\n -----END PGP SIGNATURE-----\n" +
		"\nSubject\n\ntree not a header\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Tree.String() != idA || len(c.Parents) != 2 || c.Parents[1].String() != idC {
		t.Errorf("links: %v %v", c.Tree, c.Parents)
	}
	if c.Author.Name != "A U Thor" || c.Author.Email != "a@example.com" || c.Author.When.Format(time.RFC3339) != "2023-11-15T03:43:20+05:30" {
		t.Errorf("author: %+v", c.Author)
	}
	if c.Committer.Name != "C" || c.Committer.When.Format(time.RFC3339) != "2023-11-14T14:13:21-08:00" {
		t.Errorf("committer: %+v", c.Committer)
	}
	if c.Encoding != "latin1" || !c.Signed || c.Message != "Subject\n\ntree not a header\n" {
		t.Errorf("%+v", c)
	}
}

func TestParseCommit_oddities(t *testing.T) {
	for _, test := range []struct {
		line, name, email string
		seconds           int64
	}{
		{"A <a@b> 1 +0000", "A", "a@b", 1},
		{"A <a@b>1 +0000", "A", "a@b", 1},
		{"A <a@b> x>  12 +0000", "A", "a@b", 12},
		{"A <a@b> 99999999999999999999 +0000", "A", "a@b", 0},
		{"A <a@b> -5 +0000", "A", "a@b", 0},
		{"A <a@b>", "A", "a@b", 0},
		{"A <a@b", "A", "a@b", 0},
		{"<a@b> 7 -7700", "", "a@b", 7},
		{"just a name", "just a name", "", 0},
		{"", "", "", 0},
	} {
		c, err := object.ParseCommit([]byte("tree " + idA + "\nauthor " + test.line + "\n\n"))
		if err != nil {
			t.Errorf("%q: %v", test.line, err)
			continue
		}
		if c.Author.Name != test.name || c.Author.Email != test.email || c.Author.When.Unix() != test.seconds {
			t.Errorf("%q: %+v", test.line, c.Author)
		}
	}
	for _, bad := range []string{"", "tree", "tree " + idA, "tree " + idA[1:] + "z\n", "parent " + idA + "\n", "tree " + idA + "\nparent 12\n"} {
		if c, err := object.ParseCommit([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, c)
		}
		if _, _, _, err := object.CommitLinks([]byte(bad)); err == nil {
			t.Errorf("links of %q", bad)
		}
	}
}

func TestCommitLinks(t *testing.T) {
	data := []byte("tree " + idA + "\nparent " + idB + "\nauthor A <a> 5 +0000\ncommitter C <c> 1234 +0000\n\ncommitter X <x> 9 +0000\n")
	tree, parents, when, err := object.CommitLinks(data)
	if err != nil || tree.String() != idA || len(parents) != 1 || parents[0].String() != idB || when != 1234 {
		t.Errorf("%v %v %d %v", tree, parents, when, err)
	}
	if n := testing.AllocsPerRun(10, func() { _, _, _, _ = object.CommitLinks(data) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseTag(t *testing.T) {
	tag, err := object.ParseTag([]byte("object " + idA + "\ntype commit\ntag v1\ntagger T <t@x> 3 +0000\n\nMessage\n"))
	if err != nil || tag.Object.String() != idA || tag.Type != object.TypeCommit || tag.Name != "v1" ||
		tag.Tagger.Name != "T" || tag.Message != "Message\n" {
		t.Errorf("%+v %v", tag, err)
	}
	old, err := object.ParseTag([]byte("object " + idA + "\ntype tag\ntag v0\n\nno tagger\n"))
	if err != nil || old.Tagger.Name != "" || old.Type != object.TypeTag {
		t.Errorf("%+v %v", old, err)
	}
	for _, bad := range []string{"", "object " + idA, "object " + idA + "\n", "object " + idA + "\ntype cat\n", "type commit\n"} {
		if tag, err := object.ParseTag([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, tag)
		}
	}
}

// entry is a line of a tree.
func entry(mode, name, id string) string {
	raw := git.MustParseObjectID(id)
	return mode + " " + name + "\x00" + string(raw[:])
}

func TestTree(t *testing.T) {
	data := []byte(entry("100644", "a", idA) + entry("40000", "b", idB) + entry("160000", "c", idC))
	var got []object.TreeEntry
	for e, err := range object.Tree(data) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if len(got) != 3 || got[0].Name != "a" || got[1].Mode != object.ModeTree || got[2].ID.String() != idC {
		t.Errorf("%+v", got)
	}
	if got[0].Mode.String() != "100644" || got[1].Mode.String() != "040000" {
		t.Errorf("%s %s", got[0].Mode, got[1].Mode)
	}
	for i := 1; i < len(data); i++ { // cut anywhere: whole entries, then perhaps an error
		n, failed := 0, false
		for _, err := range object.Tree(data[:i]) {
			if failed {
				t.Fatal("yields after an error")
			}
			if err != nil {
				failed = true
			} else {
				n++
			}
		}
		if whole := i%28 == 0; n > 2 && whole == failed {
			t.Errorf("cut at %d: %d entries, error %v", i, n, failed)
		}
	}
	for _, err := range object.Tree(data) {
		if err != nil {
			t.Fatal(err)
		}
		break // stopping early is allowed
	}
}
