package eventstore_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
)

// The leaf is put together by hand; a library that knows nothing of it must come to the
// same bytes.
func TestLeafIsCanonical(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("\x00\x01\b\t\n\f\r\x1f\"\\/<>&é漢😀\u2028\x7f")), 0, 20, -1))
	rapid.Check(t, func(t *rapid.T) {
		canonical := func(label string) json.RawMessage {
			plain, err := json.Marshal(map[string]any{
				text.Draw(t, label): text.Draw(t, label), "n": rapid.Float64Range(-1e300, 1e300).Draw(t, label), "list": []any{true, nil, 7},
			})
			if err != nil {
				t.Fatal(err)
			}
			body, err := jcs.Transform(plain)
			if err != nil {
				t.Fatal(err)
			}
			return body
		}
		s := eventstore.Stored{
			Position: 9, Stream: domain.Stream(text.Draw(t, "stream")), Version: rapid.Int64Range(0, 1<<53).Draw(t, "version"),
			ID: text.Draw(t, "id"), Type: text.Draw(t, "type"),
			At:   time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).In(time.FixedZone("", 3600)),
			Body: canonical("body"), Meta: canonical("meta"),
		}
		plain, err := json.Marshal(map[string]any{
			"at": s.At.UTC().Format("2006-01-02T15:04:05.000000Z"), "body": s.Body, "id": s.ID, "meta": s.Meta,
			"stream": s.Stream, "type": s.Type, "version": s.Version,
		})
		if err != nil {
			t.Fatal(err)
		}
		want, err := jcs.Transform(plain)
		if err != nil {
			t.Fatal(err)
		}
		leaf := s.AppendLeaf(nil)
		if !bytes.Equal(leaf, want) {
			t.Fatalf("leaf\n%q\nwant\n%q", leaf, want)
		}
		if eventstore.LeafHash(leaf) != tlog.RecordHash(leaf) {
			t.Fatal("the leaf's hash is not that of RFC 6962")
		}
	})
}

func TestLeafHashOfLargeLeaves(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1022, 1023, 1024, 4096, 1 << 20} {
		leaf := bytes.Repeat([]byte{'x'}, size)
		if eventstore.LeafHash(leaf) != tlog.RecordHash(leaf) {
			t.Errorf("hash of %d bytes", size)
		}
	}
}
