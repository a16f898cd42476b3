package tree_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/eventstore/tree"
)

const clusterID = "018f3a1c-7b3e-7c55-9d1e-2f6b8a9c0d11"

func newKey(t testing.TB) tree.Key {
	t.Helper()
	key, err := tree.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCheckpointsAreC2SPNotes(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	want := tree.Checkpoint{Origin: tree.Origin(clusterID, 3), Size: 12, Root: tlog.RecordHash([]byte("x"))}
	signed, err := key.Sign(want)
	if err != nil {
		t.Fatal(err)
	}
	// Any tool of the format opens it with the key as it is printed.
	verifier, err := note.NewVerifier(tree.VerifierKey(want.Origin, key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil || opened.Text != want.Text() {
		t.Errorf("%v %+v", err, opened)
	}
	if got, err := tree.OpenCheckpoint(signed, key.Public()); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := tree.OpenCheckpoint(signed, newKey(t).Public()); err == nil {
		t.Error("another key opens it")
	}
	for _, edit := range []struct{ from, to string }{{"\n12\n", "\n13\n"}, {"/3\n12", "/4\n12"}, {want.Root.String(), tlog.RecordHash(nil).String()}} {
		if edited := strings.Replace(signed, edit.from, edit.to, 1); edited == signed {
			t.Errorf("%q is not there to be edited", edit.from)
		} else if _, err := tree.OpenCheckpoint(edited, key.Public()); err == nil {
			t.Errorf("opened with %q for %q", edit.to, edit.from)
		}
	}
	for _, text := range []string{tree.PublicKeyText(key.Public()), tree.VerifierKey(want.Origin, key.Public())} {
		if got, err := tree.ParsePublicKey(text); err != nil || !got.Equal(key.Public()) {
			t.Errorf("%s comes back as %v: %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "annal/x/1+00000000+AAAA", tree.PublicKeyText(key.Public()) + "A"} {
		if _, err := tree.ParsePublicKey(text); err == nil {
			t.Errorf("%q is taken as a key", text)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys", "key.pem")
	// Nodes that start together come to one key.
	var publics sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			key, err := tree.FirstKey(file)
			if err != nil {
				t.Error(err)
				return
			}
			publics.Store(tree.PublicKeyText(key.Public()), true)
		})
	}
	wg.Wait()
	count := 0
	publics.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d keys were made", count)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("files left behind: %v", left)
	}
	first, _ := tree.LoadKey(file)
	next, err := tree.StageKey(file)
	if err != nil {
		t.Fatal(err)
	}
	// The process that staged it died: whoever needs it finds it.
	if _, err := tree.LoadKeyOf(file, newKey(t).Public()); err == nil {
		t.Error("a key is found that is not there")
	}
	if got, err := tree.LoadKeyOf(file, first.Public()); err != nil || !got.Public().Equal(first.Public()) {
		t.Error(err)
	}
	if got, err := tree.LoadKeyOf(file, next.Public()); err != nil || !got.Public().Equal(next.Public()) {
		t.Error(err)
	}
	if got, err := tree.LoadKey(file); err != nil || !got.Public().Equal(next.Public()) {
		t.Errorf("the key was not put in place: %v", err)
	}
	vouch, err := first.Vouch(clusterID, next.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.CheckVouch(clusterID, vouch, first.Public(), next.Public()); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another key":     tree.CheckVouch(clusterID, vouch, first.Public(), newKey(t).Public()),
		"another voucher": tree.CheckVouch(clusterID, vouch, next.Public(), next.Public()),
		"another cluster": tree.CheckVouch("x", vouch, first.Public(), next.Public()),
		"nothing":         tree.CheckVouch(clusterID, "", first.Public(), next.Public()),
	} {
		if err == nil {
			t.Errorf("%s is vouched for", name)
		}
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	key := newKey(f)
	signed, err := key.Sign(tree.Checkpoint{Origin: tree.Origin(clusterID, 1), Size: 12, Root: tlog.RecordHash([]byte("x"))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add("annal/x/1\n0\n\n\n")
	body, _, _ := strings.Cut(signed, "\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := tree.PeekCheckpoint(text); err == nil && !strings.HasPrefix(text, c.Text()) {
			t.Errorf("%q is read as %+v", text, c)
		}
		if _, err := tree.OpenCheckpoint(text, key.Public()); err == nil && !strings.HasPrefix(text, body) {
			t.Errorf("%q was never signed", text)
		}
	})
}

func FuzzParseReceipt(f *testing.F) {
	f.Add([]byte(`{"annal":"receipt","version":1,"position":1,"event":{"a":1},"proof":[],"checkpoint":"x"}`))
	key := newKey(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := tree.ParseReceipt(data)
		if err != nil {
			return
		}
		if !json.Valid(r.Event) {
			t.Errorf("event %q", r.Event)
		}
		if _, err := r.Check(key.Public()); err == nil {
			t.Error("a receipt that nobody gave is good")
		}
	})
}
