package object

import (
	"bytes"
	"errors"

	"github.com/annal-git/annal/domain/git"
)

// Tag is a parsed annotated tag.
type Tag struct {
	Object  git.ObjectID // what it names
	Type    Type         // of Object
	Name    string
	Tagger  Signature // zero in tags made before Git wrote taggers
	Message string    // bytes as stored, with its signature if it has one
}

var errTag = errors.New("malformed tag")

// ParseTag reads an annotated tag. Only the link and its type must be right.
func ParseTag(data []byte) (*Tag, error) {
	var t Tag
	id, rest, ok := cutLink(data, "object ")
	if !ok {
		return nil, errTag
	}
	t.Object = id
	line, rest := cutLine(rest)
	name, ok := bytes.CutPrefix(line, []byte("type "))
	if !ok {
		return nil, errTag
	}
	var err error
	if t.Type, err = ParseType(string(name)); err != nil {
		return nil, errTag
	}
	for len(rest) > 0 {
		if line, rest = cutLine(rest); len(line) == 0 {
			break
		}
		key, value, _ := bytes.Cut(line, []byte(" "))
		switch string(key) {
		case "tag":
			t.Name = string(value)
		case "tagger":
			t.Tagger = parseSignature(value)
		}
	}
	t.Message = string(rest)
	return &t, nil
}
