package object

import (
	"bytes"
	"fmt"

	"github.com/annal-git/annal/domain/git"
)

func checkTree(data []byte) (kind, detail string) {
	var order treeOrder
	n := 0
	for entry, err := range TreeLinks(data) {
		if err != nil {
			return "badTree", "it cannot be parsed"
		}
		if n++; n > MaxTreeEntries {
			return "limit", fmt.Sprintf("more than %d entries", MaxTreeEntries)
		}
		if kind, detail := checkTreeEntry(entry); kind != "" {
			return kind, detail
		}
		if kind, detail := order.next(entry); kind != "" {
			return kind, detail
		}
	}
	return "", ""
}

func checkTreeEntry(e TreeLink) (kind, detail string) {
	switch e.Mode & modeFormat {
	case ModeTree, ModeGitlink, ModeSymlink, ModeRegular & modeFormat:
	default:
		return "badFilemode", fmt.Sprintf("entry %s has mode %s, which is no kind of file", quote(e.Name), e.Mode)
	}
	switch {
	case len(e.Name) == 0:
		return "emptyName", "an entry has no name"
	case len(e.Name) > MaxNameBytes:
		return "limit", fmt.Sprintf("a name of more than %d bytes", MaxNameBytes)
	case string(e.Name) == ".":
		return "hasDot", `an entry is named "."`
	case string(e.Name) == "..":
		return "hasDotdot", `an entry is named ".."`
	case bytes.IndexByte(e.Name, '/') >= 0:
		return "fullPathname", fmt.Sprintf("the name %s has a slash", quote(e.Name))
	case e.ID == git.ZeroID:
		return "nullSha1", fmt.Sprintf("entry %s points to no object", quote(e.Name))
	case isDotGit(e.Name):
		return "hasDotgit", fmt.Sprintf("a work tree could take the name %s for .git", quote(e.Name))
	case e.Mode.IsSymlink() && SpecialFile(e.Name) == Gitmodules:
		return "gitmodulesSymlink", ".gitmodules is a symbolic link"
	}
	return "", ""
}

// treeOrder checks that entries come sorted and none twice. Git sorts a folder as
// if its name ended with a slash; so a file "a" and a folder "a" may have others,
// such as "a.b", between them.
type treeOrder struct {
	last      []byte
	lastIsDir bool
	files     [][]byte // each a prefix of the next, and the last of the current name
}

func (o *treeOrder) next(e TreeLink) (kind, detail string) {
	isDir := e.Mode.IsTree()
	if o.last != nil {
		switch c := compareNames(o.last, o.lastIsDir, e.Name, isDir); {
		case bytes.Equal(o.last, e.Name):
			return "duplicateEntries", fmt.Sprintf("two entries are named %s", quote(e.Name))
		case c > 0:
			return "treeNotSorted", "its entries are not sorted"
		}
	}
	o.last, o.lastIsDir = e.Name, isDir
	for len(o.files) > 0 && !bytes.HasPrefix(e.Name, o.files[len(o.files)-1]) {
		o.files = o.files[:len(o.files)-1]
	}
	if !isDir {
		o.files = append(o.files, e.Name)
	} else if n := len(o.files); n > 0 && len(o.files[n-1]) == len(e.Name) {
		return "duplicateEntries", fmt.Sprintf("two entries are named %s", quote(e.Name))
	}
	return "", ""
}

// compareNames is the order of the entries of a tree.
func compareNames(a []byte, aIsDir bool, b []byte, bIsDir bool) int {
	n := min(len(a), len(b))
	if c := bytes.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	return int(nameByte(a, n, aIsDir)) - int(nameByte(b, n, bIsDir))
}

func nameByte(name []byte, i int, isDir bool) byte {
	switch {
	case i < len(name):
		return name[i]
	case isDir:
		return '/'
	}
	return 0
}

// quote makes a stranger's name fit to be shown.
func quote(name []byte) string { return fmt.Sprintf("%q", clip(string(name))) }
