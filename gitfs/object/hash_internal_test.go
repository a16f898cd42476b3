package object

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"os"
	"testing"
)

// The two files are the beginnings, with the colliding blocks, of the two PDF
// files of Stevens, Bursztein, Karpman, Albertini and Markov (shattered.io, 2017).
// They collide only without an object's header before them; so this test goes
// round it.
func TestHasher_detectsCollision(t *testing.T) {
	one, err := os.ReadFile("testdata/shattered-1.bin")
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile("testdata/shattered-2.bin")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one, two) || sha1.Sum(one) != sha1.Sum(two) {
		t.Fatal("these do not collide")
	}
	h := NewHasher()
	for _, content := range [][]byte{one, two} {
		h.hash.Reset()
		_, _ = h.Write(content)
		if id, err := h.Sum(); !errors.Is(err, ErrCollision) {
			t.Errorf("named %s, %v", id, err)
		}
	}
	// The next object is none the worse for it.
	if id, err := h.Hash(TypeBlob, one); err != nil || id != Hash(TypeBlob, one) {
		t.Errorf("%s, %v", id, err)
	}
}
