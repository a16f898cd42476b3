package object

import (
	"bytes"
	"encoding/hex"
	"errors"

	"github.com/annal-git/annal/domain/git"
)

// Commit is a parsed commit.
type Commit struct {
	Tree      git.ObjectID
	Parents   []git.ObjectID
	Author    Signature
	Committer Signature
	Encoding  string // of Message and the names; "" means UTF-8
	Message   string // bytes as stored
	Signed    bool   // carries a signature, which nobody has verified
}

var errCommit = errors.New("malformed commit")

// ParseCommit reads a commit, as leniently as git log: only the links must be
// right.
func ParseCommit(data []byte) (*Commit, error) {
	tree, parents, rest, err := commitLinks(data)
	if err != nil {
		return nil, err
	}
	c := &Commit{Tree: tree, Parents: parents}
	for len(rest) > 0 {
		line, after := cutLine(rest)
		rest = after
		if len(line) == 0 {
			break
		}
		key, value, _ := bytes.Cut(line, []byte(" "))
		switch string(key) { // a continuation line has an empty key
		case "author":
			c.Author = parseSignature(value)
		case "committer":
			c.Committer = parseSignature(value)
		case "encoding":
			c.Encoding = string(value)
		case "gpgsig", "gpgsig-sha256":
			c.Signed = true
		}
	}
	c.Message = string(rest)
	return c, nil
}

// CommitLinks reads only what a walk of history needs: what a commit points to,
// and the committer's time in seconds since the epoch (0 if it cannot be read).
// It allocates nothing but parents.
func CommitLinks(data []byte) (tree git.ObjectID, parents []git.ObjectID, when int64, err error) {
	tree, parents, rest, err := commitLinks(data)
	for err == nil && len(rest) > 0 {
		line, after := cutLine(rest)
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("committer ")); ok {
			when, _ = parseDate(value)
			break
		}
		rest = after
	}
	return tree, parents, when, err
}

// commitLinks reads the tree and parent lines and returns what follows them.
func commitLinks(data []byte) (tree git.ObjectID, parents []git.ObjectID, rest []byte, err error) {
	tree, rest, ok := cutLink(data, "tree ")
	if !ok {
		return git.ZeroID, nil, nil, errCommit
	}
	for bytes.HasPrefix(rest, []byte("parent ")) {
		var parent git.ObjectID
		if parent, rest, ok = cutLink(rest, "parent "); !ok {
			return git.ZeroID, nil, nil, errCommit
		}
		parents = append(parents, parent)
	}
	return tree, parents, rest, nil
}

// cutLink reads a line made of a keyword and an object id.
func cutLink(data []byte, keyword string) (id git.ObjectID, rest []byte, ok bool) {
	n := len(keyword) + 2*len(id)
	if len(data) <= n || string(data[:len(keyword)]) != keyword || data[n] != '\n' {
		return git.ZeroID, nil, false
	}
	if _, err := hex.Decode(id[:], data[len(keyword):n]); err != nil {
		return git.ZeroID, nil, false
	}
	return id, data[n+1:], true
}

// cutLine splits at the first newline, which is in neither part.
func cutLine(data []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(data, []byte("\n"))
	return line, rest
}
