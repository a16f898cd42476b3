package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore/tree"
)

func TestLogEvidence(t *testing.T) {
	w := newWorld(t)
	w.append(domain.ClusterStream, cluster.Created{ID: "01a20ba1-42ad-7e53-a930-aa45109103c4", Name: "test"})
	if err := tree.PrepareKey(t.Context(), w.tree); err != nil {
		t.Fatal(err)
	}
	w.ok(reader, "GET", "/rest/annal/1.0/log/checkpoint", "", 503)
	w.append(domain.RepositoryStream(1), repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/main", New: git.ObjectID{1}}}})
	pushed := w.head()
	receipt := fmt.Sprintf("/rest/annal/1.0/log/receipt?position=%d", pushed)
	w.ok(reader, "GET", receipt, "", 503)
	if _, err := tree.NewIntegrator(w.tree).Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := tree.LoadKey(w.tree.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for user, status := range map[string]int{admin: 200, writer: 200, reader: 200, owner: 200, outsider: 404, nobody: 401} {
		answer := w.ok(user, "GET", receipt, "", status)
		if status != 200 {
			continue
		}
		parsed, err := tree.ParseReceipt(answer.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := parsed.Check(key.Public()); err != nil || c.Size != pushed || parsed.Position != pushed {
			t.Errorf("%s: %+v %v", user, c, err)
		}
		if text := answer.Body.String(); strings.Contains(text, "salt") || strings.Contains(text, "address") {
			t.Errorf("%s is told %s", user, text)
		}
	}
	// A user's own stream is his, and nobody's who only reads the repository.
	w.ok(outsider, "GET", "/rest/annal/1.0/log/receipt?position=1", "", 404)
	w.ok(admin, "GET", "/rest/annal/1.0/log/receipt?position=1", "", 200)
	for _, query := range []string{"", "?position=0", "?position=999"} {
		w.ok(admin, "GET", "/rest/annal/1.0/log/receipt"+query, "", 404)
	}
	for _, query := range []string{"?position=-1", "?position=x"} {
		w.ok(admin, "GET", "/rest/annal/1.0/log/receipt"+query, "", 400)
	}

	signed := w.ok(outsider, "GET", "/rest/annal/1.0/log/checkpoint", "", 200).Body.String()
	c, err := tree.OpenCheckpoint(signed, key.Public())
	if err != nil || c.Size != pushed {
		t.Errorf("%+v %v", c, err)
	}
	if keys := w.ok(outsider, "GET", "/rest/annal/1.0/log/keys", "", 200).Body.String(); !strings.Contains(keys, tree.PublicKeyText(key.Public())) {
		t.Errorf("keys %s", keys)
	}
	tile := w.ok(outsider, "GET", fmt.Sprintf("/rest/annal/1.0/log/tile/0/000.p/%d", c.Size), "", 200).Body.Bytes()
	hashes, err := tree.ParseTile(tile, int(c.Size))
	if err != nil {
		t.Fatal(err)
	}
	var f tree.Frontier
	for _, h := range hashes {
		f.Append(h)
	}
	if f.Root() != c.Root {
		t.Error("the tile does not have the checkpoint's root")
	}
	entries := fmt.Sprintf("/rest/annal/1.0/log/tile/entries/000.p/%d", c.Size)
	for user, status := range map[string]int{admin: 200, manager: 401, reader: 401, nobody: 401} {
		answer := w.ok(user, "GET", entries, "", status)
		if status != 200 {
			continue
		}
		bundle, err := tree.ParseBundle(answer.Body.Bytes(), int(c.Size))
		if err != nil || tlog.RecordHash(bundle[pushed-1]) != hashes[pushed-1] {
			t.Errorf("entries: %v", err)
		}
	}
	for _, path := range []string{"tile/0/001", "tile/0/000", "tile/9/000", "tile/0/x", "tile/../checkpoint", "tile/0/..%2f..%2fcheckpoint", "tile/entries/large/001"} {
		if answer := w.send(admin, "GET", "/rest/annal/1.0/log/"+path, ""); answer.Code != 404 {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
	w.ok(nobody, "GET", "/rest/annal/1.0/log/checkpoint", "", 401)
	w.ok(nobody, "GET", "/rest/annal/1.0/log/keys", "", 401)
	w.ok(nobody, "GET", "/rest/annal/1.0/log/tile/0/000", "", 401)
}
