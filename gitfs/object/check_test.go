package object_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
)

type checkCase struct {
	name string
	typ  object.Type
	data string
	kind string // "" if it passes
}

const (
	author    = "author A <a@example.com> 1700000000 +0000\n"
	committer = "committer C <c@example.com> 1700000000 +0000\n"
	treeLine  = "tree " + idD + "\n"
)

func checkCases() []checkCase {
	commit := func(name, kind, data string) checkCase { return checkCase{name, object.TypeCommit, data, kind} }
	ident := func(name, kind, line string) checkCase {
		return commit("author "+name, kind, treeLine+"author "+line+"\n"+committer+"\nm\n")
	}
	tag := func(name, kind, data string) checkCase { return checkCase{name, object.TypeTag, data, kind} }
	tree := func(name, kind string, entries ...string) checkCase {
		return checkCase{name, object.TypeTree, strings.Join(entries, ""), kind}
	}
	named := func(kind, name string) checkCase {
		return tree(fmt.Sprintf("name %q", name), kind, entry("100644", name, idA))
	}
	return []checkCase{
		commit("good", "", treeLine+"parent "+idB+"\n"+author+committer+"\nm\n"),
		commit("no message", "", treeLine+author+committer),
		commit("NUL in message", "", treeLine+author+committer+"\na\x00b\n"),
		commit("unknown header", "", treeLine+author+committer+"mergetag x\n y\n\nm\n"),
		commit("empty", "unterminatedHeader", ""),
		commit("NUL in header", "nulInHeader", treeLine+"author A\x00 <a> 1 +0000\n"+committer+"\nm\n"),
		commit("cut header", "unterminatedHeader", treeLine+author+strings.TrimSuffix(committer, "\n")),
		commit("no tree", "missingTree", author+committer+"\nm\n"),
		commit("bad tree", "badTreeSha1", "tree "+idA[1:]+"\n"+author+committer+"\nm\n"),
		commit("bad parent", "badParentSha1", treeLine+"parent 1234\n"+author+committer+"\nm\n"),
		commit("no author", "missingAuthor", treeLine+committer+"\nm\n"),
		commit("two authors", "multipleAuthors", treeLine+author+author+committer+"\nm\n"),
		commit("no committer", "missingCommitter", treeLine+author+"\nm\n"),
		ident("good", "", "A U Thor <a@example.com> 1 -0930"),
		ident("epoch", "", "A <a> 0 +0000"),
		ident("no name", "missingNameBeforeEmail", "<a@example.com> 1 +0000"),
		ident("bad name", "badName", "A> <a@example.com> 1 +0000"),
		ident("no e-mail", "missingEmail", "A 1 +0000"),
		ident("no space", "missingSpaceBeforeEmail", "A<a@example.com> 1 +0000"),
		ident("bad e-mail", "badEmail", "A <a@<example.com> 1 +0000"),
		ident("no space before date", "missingSpaceBeforeDate", "A <a@example.com>1 +0000"),
		ident("zero-padded date", "zeroPaddedDate", "A <a@example.com> 01 +0000"),
		ident("no date", "badDate", "A <a@example.com> x +0000"),
		ident("far date", "badDateOverflow", "A <a@example.com> 99999999999999999999 +0000"),
		ident("bad zone", "badTimezone", "A <a@example.com> 1 +00000"),
		ident("no zone", "badDate", "A <a@example.com> 1"),

		tag("good", "", "object "+idB+"\ntype commit\ntag v1\ntagger T <t> 1 +0000\n\nm\n"),
		tag("no tagger", "", "object "+idB+"\ntype commit\ntag v1\n\nm\n"),
		tag("no object", "missingObject", "type commit\ntag v1\n\nm\n"),
		tag("bad object", "badObjectSha1", "object 12\ntype commit\ntag v1\n\nm\n"),
		tag("no type", "missingTypeEntry", "object "+idB+"\ntag v1\n\nm\n"),
		tag("bad type", "badType", "object "+idB+"\ntype cat\ntag v1\n\nm\n"),
		tag("no tag", "missingTagEntry", "object "+idB+"\ntype commit\n\nm\n"),
		tag("bad tagger", "missingEmail", "object "+idB+"\ntype commit\ntag v1\ntagger T\n\nm\n"),

		tree("empty", ""),
		tree("good", "", entry("100644", "a", idA), entry("100755", "b", idA), entry("120000", "c", idA), entry("40000", "d", idD), entry("160000", "e", idC)),
		tree("old mode", "", entry("100664", "a", idA)),
		tree("zero-padded mode", "", entry("040000", "a", idD)),
		tree("no kind of file", "badFilemode", entry("0", "a", idA)),
		tree("unknown kind", "badFilemode", entry("20666", "a", idA)),
		tree("not octal", "badTree", entry("1006x4", "a", idA)),
		tree("cut", "badTree", entry("100644", "a", idA)[:20]),
		tree("unsorted", "treeNotSorted", entry("100644", "b", idA), entry("100644", "a", idA)),
		tree("folder sorts with slash", "", entry("100644", "a.b", idA), entry("40000", "a", idD), entry("100644", "a0", idA)),
		tree("folder sorted as file", "treeNotSorted", entry("40000", "a", idD), entry("100644", "a.b", idA)),
		tree("twice", "duplicateEntries", entry("100644", "a", idA), entry("100644", "a", idB)),
		tree("file and folder", "duplicateEntries", entry("100644", "a", idA), entry("40000", "a", idD)),
		tree("file and folder apart", "duplicateEntries", entry("100644", "a", idA), entry("100644", "a-", idA), entry("100644", "a.b", idA), entry("40000", "a", idD)),
		tree("file and folder far apart", "duplicateEntries", entry("100644", "a", idA), entry("40000", "a+b", idD), entry("100644", "a-c", idA), entry("40000", "a.", idD), entry("40000", "a", idD)),
		tree("no id", "nullSha1", entry("100644", "a", git.ZeroID.String())),
		named("emptyName", ""),
		named("hasDot", "."),
		named("hasDotdot", ".."),
		named("", "..."),
		named("fullPathname", "a/b"),
		named("hasDotgit", ".git"),
		named("hasDotgit", ".GiT"),
		named("hasDotgit", ".git."),
		named("hasDotgit", ".git  . "),
		named("hasDotgit", ".git::$INDEX_ALLOCATION"),
		named("hasDotgit", "git~1"),
		named("hasDotgit", "GIT~1 ."),
		named("", "git~2"),
		named("hasDotgit", ".g\u200cit"),
		named("hasDotgit", "\ufeff.git"),
		named("hasDotgit", ".gi\u206ft\u200e"),
		named("hasDotgit", `a\.git`),
		named("hasDotgit", `a\.git\hooks`),
		named("", ".gitignore"),
		named("", ".gitx"),
		named("", "x.git"),
		named("", `a\b`),
		tree("gitmodules", "", entry("100644", ".gitmodules", idA)),
		tree("gitmodules as link", "gitmodulesSymlink", entry("120000", ".gitmodules", idA)),
		tree("gitmodules on NTFS as link", "gitmodulesSymlink", entry("120000", "GITMOD~1", idA)),
		tree("gitmodules on NTFS as link, hashed", "gitmodulesSymlink", entry("120000", "GI7EBA~1", idA)),
		tree("gitmodules on HFS as link", "gitmodulesSymlink", entry("120000", ".gitmod\u200cules", idA)),
	}
}

func TestCheck(t *testing.T) {
	for _, c := range checkCases() {
		t.Run(c.typ.String()+" "+c.name, func(t *testing.T) {
			id := object.Hash(c.typ, []byte(c.data))
			err := object.Check(c.typ, id, []byte(c.data))
			var refused *object.CheckError
			switch {
			case c.kind == "" && err == nil:
			case !errors.As(err, &refused) || refused.Kind != c.kind || refused.ID != id:
				t.Errorf("%v, want %q", err, c.kind)
			}
		})
	}
}

// TestCheck_asGit lets git fsck judge the same objects.
func TestCheck_asGit(t *testing.T) {
	dir := t.TempDir()
	gitfstest.Git(t, dir, "init", "--quiet", "--bare", ".")
	kinds := map[string]map[string]bool{} // what git says, by object
	for _, c := range checkCases() {
		id := gitfstest.GitInput(t, dir, []byte(c.data), "hash-object", "-t", c.typ.String(), "-w", "--stdin", "--literally")
		kinds[id] = map[string]bool{}
	}
	said, err := gitfstest.TryGit(t, dir, nil, "fsck", "--strict", "--no-dangling")
	if err == nil {
		t.Fatal("git fsck finds nothing")
	}
	for line := range strings.Lines(said) {
		words := strings.Fields(line) // error in tree <id>: treeNotSorted: not properly sorted
		if len(words) > 4 && words[1] == "in" {
			id := strings.TrimSuffix(words[3], ":")
			if kinds[id] != nil {
				kinds[id][strings.TrimSuffix(words[4], ":")] = true
			}
		}
		if strings.Contains(line, ": object could not be parsed") { // and so gets no further
			id := strings.TrimSuffix(words[1], ":")
			if kinds[id] != nil {
				kinds[id]["unparsable"] = true
			}
		}
	}
	tolerated := map[string]bool{"zeroPaddedFilemode": true, "badFilemode": true, "nulInCommit": true, "missingTaggerEntry": true}
	for _, c := range checkCases() {
		id := object.Hash(c.typ, []byte(c.data)).String()
		if c.data == "" {
			continue // the empty tree is built into git, and the empty commit unreadable
		}
		if c.kind != "" && !kinds[id][c.kind] && !kinds[id]["unparsable"] && !kinds[id]["badTree"] {
			t.Errorf("%s %s: we say %s, git says %v", c.typ, c.name, c.kind, kinds[id])
		}
		for kind := range kinds[id] {
			if c.kind == "" && !tolerated[kind] {
				t.Errorf("%s %s: git says %s", c.typ, c.name, kind)
			}
		}
	}
}

func TestCheck_limits(t *testing.T) {
	parents := strings.Repeat("parent "+idB+"\n", object.MaxParents+1)
	long := strings.Repeat("n", object.MaxNameBytes+1)
	var many strings.Builder
	for i := range object.MaxTreeEntries + 1 {
		many.WriteString(entry("100644", fmt.Sprintf("%08d", i), idA))
	}
	for name, c := range map[string]checkCase{
		"parents": {typ: object.TypeCommit, data: treeLine + parents + author + committer + "\n"},
		"header":  {typ: object.TypeCommit, data: treeLine + author + committer + "x " + strings.Repeat("h", object.MaxCommitHeader) + "\n\n"},
		"name":    {typ: object.TypeTree, data: entry("100644", long, idA)},
		"entries": {typ: object.TypeTree, data: many.String()},
	} {
		var refused *object.CheckError
		if err := object.Check(c.typ, git.ZeroID, []byte(c.data)); !errors.As(err, &refused) || refused.Kind != "limit" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpecialFile(t *testing.T) {
	for name, want := range map[string]object.Special{
		".gitmodules": object.Gitmodules, ".GITMODULES": object.Gitmodules, ".gitmodules .": object.Gitmodules,
		".gitmodules:x": object.Gitmodules, "gitmod~1": object.Gitmodules, "GITMOD~4": object.Gitmodules,
		"gi7eba~1": object.Gitmodules, "gi7eb~10": object.Gitmodules, "g~123456": object.Gitmodules,
		`x\.gitmodules`: object.Gitmodules, ".git\u200dmodules": object.Gitmodules,
		"gitmod~5": object.Ordinary, "gi7eba~0": object.Ordinary, "gi7eba~x": object.Ordinary, "gi7eba~1x": object.Ordinary,
		"gitmodules": object.Ordinary, ".gitmodulesx": object.Ordinary, ".gitmodules x": object.Ordinary, "": object.Ordinary,
		".gitattributes": object.Gitattributes, "GI7D29~1": object.Gitattributes, "gitatt~1": object.Gitattributes,
	} {
		if got := object.SpecialFile([]byte(name)); got != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
}

func gitmodulesCases() map[string]string {
	module := func(setting string) string { return "[submodule \"m\"]\n\tpath = m\n\t" + setting + "\n" }
	return map[string]string{
		module("url = https://example.com/m.git"):                       "",
		module("url = ../m.git"):                                        "",
		module("url = ./m.git"):                                         "",
		module("url = git@example.com:m.git"):                           "",
		module("url = https://example.com/m.git # comment"):             "",
		module("update = checkout"):                                     "",
		"[submodule \"a/b..c\"]\n\turl = x\n":                           "",
		"[submodule \"a\"]\r\n\tpath = a\r\n\turl = x\r\n":              "",
		"# nothing\n; at all\n":                                         "",
		"[core]\n\tupdate = !x\n":                                       "",
		"no config at all":                                              "",
		module("url = -u./payload"):                                     "gitmodulesUrl",
		module("url = \"-u./payload\""):                                 "gitmodulesUrl",
		module("URL = -u./payload"):                                     "gitmodulesUrl",
		module("url = -u./pay\\\nload"):                                 "gitmodulesUrl",
		module("url = https://example.com/%0ahost=evil"):                "gitmodulesUrl",
		module("url = ../../../../%0ahost=evil"):                        "gitmodulesUrl",
		module("url = ../../../../:evil"):                               "gitmodulesUrl",
		module("url = https:///path"):                                   "gitmodulesUrl",
		"[submodule \"../../x\"]\n\turl = x\n":                          "gitmodulesName",
		"[submodule \"a\\\\..\\\\x\"]\n\turl = x\n":                     "gitmodulesName",
		"[submodule \"..\"]\n\turl = x\n":                               "gitmodulesName",
		"[submodule \"\"]\n\turl = x\n":                                 "gitmodulesName",
		"[submodule.a/../b]\n\turl = x\n":                               "",
		"[submodule \"m\"]\n\tpath = -rf\n":                             "gitmodulesPath",
		module("update = !touch x"):                                     "gitmodulesUpdate",
		"[submodule \"a\"]\n\turl = x\n[submodule \"b\"]\n\turl = -x\n": "gitmodulesUrl",
		"[submodule \"a\"] url = -x\n":                                  "gitmodulesUrl",
	}
}

func TestCheckGitmodules(t *testing.T) {
	for content, kind := range gitmodulesCases() {
		err := object.CheckGitmodules(git.ZeroID, []byte(content))
		var refused *object.CheckError
		if kind == "" && err != nil || kind != "" && (!errors.As(err, &refused) || refused.Kind != kind) {
			t.Errorf("%q: %v, want %q", content, err, kind)
		}
	}
	// Newer than what the oracle knows.
	for _, path := range []string{"\"m\r\"", "m\r\r", "\"a\\nb\""} {
		if err := object.CheckGitmodules(git.ZeroID, []byte("[submodule \"m\"]\n\tpath = "+path+"\n")); err == nil {
			t.Errorf("path %q passes", path)
		}
	}
}

// TestCheckGitmodules_asGit lets git judge the same files.
func TestCheckGitmodules_asGit(t *testing.T) {
	dir := t.TempDir()
	gitfstest.Git(t, dir, "init", "--quiet", "--bare", ".")
	want := map[string]string{}
	for content, kind := range gitmodulesCases() {
		blob := gitfstest.GitInput(t, dir, []byte(content), "hash-object", "-w", "--stdin")
		gitfstest.GitInput(t, dir, []byte("100644 blob "+blob+"\t.gitmodules\n"), "mktree")
		want[blob] = kind
	}
	said, _ := gitfstest.TryGit(t, dir, nil, "fsck", "--strict", "--no-dangling")
	for line := range strings.Lines(said) {
		words := strings.Fields(line)
		if len(words) < 5 || words[0] != "error" {
			continue
		}
		id, kind := strings.TrimSuffix(words[3], ":"), strings.TrimSuffix(words[4], ":")
		if want[id] != kind {
			t.Errorf("git says %s where we say %q: %s", kind, want[id], gitfstest.Git(t, dir, "cat-file", "blob", id))
		}
		delete(want, id)
	}
	for id, kind := range want {
		if kind != "" {
			t.Errorf("we say %s where git says nothing: %s", kind, gitfstest.Git(t, dir, "cat-file", "blob", id))
		}
	}
}

func TestCheckGitattributes(t *testing.T) {
	line := strings.Repeat("x", object.MaxGitattributesLine)
	for content, kind := range map[string]string{
		"":                           "",
		"*.go text\n":                "",
		strings.Repeat("a b\n", 1e5): "",
		line + "\n" + line:           "",
		"a\n" + line + "x\n":         "gitattributesLineLength",
		strings.Repeat(line+"\n", 40) + line + "x": "gitattributesLineLength",
	} {
		err := object.CheckGitattributes(git.ZeroID, int64(len(content)), bytes.NewReader([]byte(content)))
		var refused *object.CheckError
		if kind == "" && err != nil || kind != "" && (!errors.As(err, &refused) || refused.Kind != kind) {
			t.Errorf("%.20q: %v, want %q", content, err, kind)
		}
	}
	if err := object.CheckGitattributes(git.ZeroID, object.MaxGitattributes+1, nil); err == nil {
		t.Error("too large passes")
	}
}
