package pack_test

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// The index is the one that git makes, and so is one that is written anew.
func TestMakeIndex(t *testing.T) {
	repository := gitfstest.NewRepository(t, 60)
	path := gitfstest.PackFile(t, repository)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "p.pack")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	gitfstest.Git(t, t.TempDir(), "index-pack", copied)
	want, err := os.ReadFile(copied[:len(copied)-len("pack")] + "idx")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pack.MakeIndex(content, 1<<30)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("it differs, %v", err)
	}
	index, err := pack.ParseIndex(got, nil)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if _, err := index.WriteTo(&again); err != nil || !bytes.Equal(again.Bytes(), want) {
		t.Errorf("written anew it differs, %v", err)
	}
	var large *pack.SizeError
	if _, err := pack.MakeIndex(content, 1000); !errors.As(err, &large) {
		t.Errorf("beyond the limit: %v", err)
	}
	for cut := range 200 {
		var corrupt *pack.CorruptError
		if _, err := pack.MakeIndex(content[:len(content)*cut/200], 1<<30); !errors.As(err, &corrupt) {
			t.Fatalf("cut off: %v", err)
		}
	}
}

// Whatever a pack holds, there is an index or an error, within the limit.
func FuzzMakeIndex(f *testing.F) {
	for i, seed := range []func(w *pack.Writer) error{
		func(w *pack.Writer) error { return w.WriteObject(object.TypeBlob, []byte("one"), 1) },
		func(w *pack.Writer) error {
			base := object.Hash(object.TypeBlob, []byte("one"))
			delta := append(deltaHeader(3, 6), append(appendCopy(nil, 0, 3), 3, 't', 'w', 'o')...)
			return errors.Join(
				w.WriteDelta(pack.Entry{Kind: pack.RefDelta, BaseID: base, Size: int64(len(delta))}, delta, 1),
				w.WriteObject(object.TypeBlob, []byte("one"), 1))
		},
	} {
		var file bytes.Buffer
		w, err := pack.NewWriter(&file, uint32(i+1))
		if err == nil {
			err = seed(w)
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file.Bytes())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha1.Sum(body)
		content := append(bytes.Clone(body), sum[:]...)
		idx, err := pack.MakeIndex(content, 1<<20)
		var corrupt *pack.CorruptError
		var large *pack.SizeError
		switch {
		case err == nil:
			if _, err := pack.ParseIndex(idx, nil); err != nil {
				t.Error(err)
			}
		case !errors.As(err, &corrupt) && !errors.As(err, &large):
			t.Errorf("%T %v", err, err)
		}
	})
}
