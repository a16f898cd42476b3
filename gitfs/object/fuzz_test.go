package object_test

import (
	"slices"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

func seed(f *testing.F, typ object.Type) {
	for _, c := range checkCases() {
		if c.typ == typ {
			f.Add([]byte(c.data))
		}
	}
}

// What passes the check can be read, in all ways alike.
func FuzzCommit(f *testing.F) {
	seed(f, object.TypeCommit)
	f.Fuzz(func(t *testing.T, data []byte) {
		checked := object.Check(object.TypeCommit, git.ZeroID, data)
		c, err := object.ParseCommit(data)
		if checked == nil && err != nil {
			t.Fatalf("passes the check, but: %v", err)
		}
		tree, parents, when, linksErr := object.CommitLinks(data)
		if (err == nil) != (linksErr == nil) {
			t.Fatalf("%v, but the links: %v", err, linksErr)
		}
		if err == nil && (tree != c.Tree || !slices.Equal(parents, c.Parents) || checked == nil && when != c.Committer.When.Unix()) {
			t.Fatalf("links %v %v %d of %+v", tree, parents, when, c)
		}
	})
}

func FuzzTag(f *testing.F) {
	seed(f, object.TypeTag)
	f.Fuzz(func(t *testing.T, data []byte) {
		checked := object.Check(object.TypeTag, git.ZeroID, data)
		if _, err := object.ParseTag(data); checked == nil && err != nil {
			t.Fatalf("passes the check, but: %v", err)
		}
	})
}

func FuzzTree(f *testing.F) {
	seed(f, object.TypeTree)
	f.Fuzz(func(t *testing.T, data []byte) {
		checked := object.Check(object.TypeTree, git.ZeroID, data)
		size := 0
		names := map[string]bool{}
		for e, err := range object.Tree(data) {
			if err != nil {
				if checked == nil {
					t.Fatalf("passes the check, but: %v", err)
				}
				return
			}
			if checked == nil && names[e.Name] {
				t.Fatalf("%q is there twice", e.Name)
			}
			names[e.Name] = true
			object.SpecialFile([]byte(e.Name))
			size += len(e.Name) + 2 + len(e.ID)
		}
		if size > len(data) {
			t.Fatalf("%d bytes of entries in a tree of %d", size, len(data))
		}
	})
}

func FuzzGitmodules(f *testing.F) {
	for content := range gitmodulesCases() {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = object.CheckGitmodules(git.ZeroID, data)
	})
}
