package object

import (
	"bytes"
	"errors"
	"iter"
	"strconv"

	"github.com/annal-git/annal/domain/git"
)

// FileMode is the mode of a tree entry.
type FileMode uint32

// The modes that Git writes. Old histories hold others, such as 0100664.
const (
	ModeTree       FileMode = 0o040000
	ModeRegular    FileMode = 0o100644
	ModeExecutable FileMode = 0o100755
	ModeSymlink    FileMode = 0o120000
	ModeGitlink    FileMode = 0o160000 // a commit of another repository: a submodule
)

const modeFormat = 0o170000

// IsTree reports whether the entry is a folder.
func (m FileMode) IsTree() bool { return m&modeFormat == ModeTree }

// IsGitlink reports whether the entry names a commit of another repository, which
// need not be in this one.
func (m FileMode) IsGitlink() bool { return m&modeFormat == ModeGitlink }

// IsSymlink reports whether the entry's blob is the target of a symbolic link.
func (m FileMode) IsSymlink() bool { return m&modeFormat == ModeSymlink }

// IsFile reports whether the entry is a regular file, executable or not.
func (m FileMode) IsFile() bool { return m&modeFormat == ModeRegular&modeFormat }

// Type is the type of the object that the entry names.
func (m FileMode) Type() Type {
	switch {
	case m.IsTree():
		return TypeTree
	case m.IsGitlink():
		return TypeCommit
	}
	return TypeBlob
}

// String is the mode as git ls-tree prints it: six octal digits.
func (m FileMode) String() string {
	s := strconv.FormatUint(uint64(m), 8)
	if len(s) < 6 {
		s = "000000"[len(s):] + s
	}
	return s
}

// TreeEntry is one line of a tree.
type TreeEntry struct {
	Mode FileMode
	Name string // bytes as stored
	ID   git.ObjectID
}

// TreeLink is a TreeEntry whose Name is part of the tree's own bytes.
type TreeLink struct {
	Mode FileMode
	Name []byte
	ID   git.ObjectID
}

var errTree = errors.New("malformed tree")

// Tree yields the entries of a tree in stored order. After an error nothing more
// is yielded.
func Tree(data []byte) iter.Seq2[TreeEntry, error] {
	return func(yield func(TreeEntry, error) bool) {
		for link, err := range TreeLinks(data) {
			if !yield(TreeEntry{Mode: link.Mode, Name: string(link.Name), ID: link.ID}, err) {
				return
			}
		}
	}
}

// TreeLinks is Tree without a copy of each name: for walks.
func TreeLinks(data []byte) iter.Seq2[TreeLink, error] {
	return func(yield func(TreeLink, error) bool) {
		for len(data) > 0 {
			link, rest, ok := cutTreeEntry(data)
			if !ok {
				yield(TreeLink{}, errTree)
				return
			}
			if !yield(link, nil) {
				return
			}
			data = rest
		}
	}
}

// CutTreeLink returns the first entry of a tree that is not empty, or of what is left of one,
// and what follows it. TreeLinks does that for all.
func CutTreeLink(data []byte) (link TreeLink, rest []byte, err error) {
	link, rest, ok := cutTreeEntry(data)
	if !ok {
		return TreeLink{}, nil, errTree
	}
	return link, rest, nil
}

// cutTreeEntry reads "mode name NUL id".
func cutTreeEntry(data []byte) (link TreeLink, rest []byte, ok bool) {
	i := 0
	for ; i < len(data) && data[i] != ' '; i++ {
		if i == 7 || data[i] < '0' || data[i] > '7' {
			return TreeLink{}, nil, false
		}
		link.Mode = link.Mode<<3 | FileMode(data[i]-'0')
	}
	if i == 0 || i == len(data) {
		return TreeLink{}, nil, false
	}
	data = data[i+1:]
	end := bytes.IndexByte(data, 0)
	if end < 0 || len(data) < end+1+len(link.ID) {
		return TreeLink{}, nil, false
	}
	link.Name = data[:end:end]
	copy(link.ID[:], data[end+1:])
	return link, data[end+1+len(link.ID):], true
}
