package object

import (
	"crypto/sha1"
	"errors"
	"strconv"

	"github.com/pjbgf/sha1cd"

	"github.com/annal-git/annal/domain/git"
)

// Hash names an object whose content is trusted, such as one this program wrote.
// What strangers send is named by a Hasher.
func Hash(t Type, data []byte) git.ObjectID {
	h := sha1.New()
	var header [32]byte
	h.Write(appendHeader(header[:0], t, int64(len(data))))
	h.Write(data)
	var id git.ObjectID
	h.Sum(id[:0])
	return id
}

// ErrCollision says that content was made to share its SHA-1 name with another.
var ErrCollision = errors.New("content is part of a SHA-1 collision attack")

// Hasher names objects that strangers send. It recognises content built to
// collide. The zero value is not usable; make one with NewHasher and use it for
// many objects. It is not safe for concurrent use.
type Hasher struct {
	hash   sha1cd.CollisionResistantHash
	header [32]byte
}

// NewHasher makes a Hasher.
func NewHasher() *Hasher {
	return &Hasher{hash: sha1cd.New().(sha1cd.CollisionResistantHash)}
}

// Reset begins an object of the given type and size in bytes.
func (h *Hasher) Reset(t Type, size int64) {
	h.hash.Reset()
	h.hash.Write(appendHeader(h.header[:0], t, size))
}

// Write adds content. It never fails.
func (h *Hasher) Write(p []byte) (int, error) { return h.hash.Write(p) }

// Sum returns the object's name, or ErrCollision.
func (h *Hasher) Sum() (git.ObjectID, error) {
	var id git.ObjectID
	_, collision := h.hash.CollisionResistantSum(id[:0])
	if collision {
		return git.ZeroID, ErrCollision
	}
	return id, nil
}

// Hash names a whole object, or returns ErrCollision.
func (h *Hasher) Hash(t Type, data []byte) (git.ObjectID, error) {
	h.Reset(t, int64(len(data)))
	h.hash.Write(data)
	return h.Sum()
}

// appendHeader writes what Git hashes before the content: type, size, NUL.
func appendHeader(b []byte, t Type, size int64) []byte {
	b = append(b, t.String()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, size, 10)
	return append(b, 0)
}
