package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// plainMeta and plainOrigin are the types as encoding/json sees them.
type (
	plainMeta   storedMeta
	plainOrigin origin
)

func general(t *rapid.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = jcs.Transform(text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func anyText(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.Just(""),
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	).Draw(t, label)
}

// Encoders and decoders by hand do what the general ones do.
func TestMetadataJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := storedMeta{
			Actor: domain.UserID(rapid.Int64().Draw(t, "actor")), Auth: anyText(t, "auth"), RequestID: anyText(t, "request"),
			Correlation: anyText(t, "correlation"), Causation: anyText(t, "causation"), Node: anyText(t, "node"),
			Commitments: commitments{Event: anyText(t, "event"), Origin: anyText(t, "origin")},
		}
		text := general(t, plainMeta(m))
		if got := string(m.AppendJSON(nil)); got != text {
			t.Fatalf("%s\nwant\n%s", got, text)
		}
		compareMeta(t, []byte(text))
		o := origin{Address: anyText(t, "address")}
		text = general(t, plainOrigin(o))
		if got := string(o.AppendJSON(nil)); got != text {
			t.Fatalf("%s\nwant\n%s", got, text)
		}
		compareOrigin(t, []byte(text))
	})
}

type fataler interface {
	Fatalf(format string, args ...any)
}

func compareMeta(t fataler, data []byte) {
	var fast storedMeta
	var slow plainMeta
	has, fastErr := fast.decode(data, &names{})
	slowErr := json.Unmarshal(data, &slow)
	if want := (parts{slow.Commitments.Event != "", slow.Commitments.Origin != ""}); slowErr == nil && has != want {
		t.Fatalf("%s has %+v, want %+v", data, has, want)
	}
	slow.Commitments = commitments{} // of them only that is decoded
	if (fastErr == nil) != (slowErr == nil) || (fastErr == nil && fast != storedMeta(slow)) {
		t.Fatalf("%s\nby hand: %+v, %v\nin general: %+v, %v", data, fast, fastErr, slow, slowErr)
	}
}

func compareOrigin(t fataler, data []byte) {
	var fast origin
	var slow plainOrigin
	fastErr, slowErr := fast.decode(data, &names{}), json.Unmarshal(data, &slow)
	if (fastErr == nil) != (slowErr == nil) || (fastErr == nil && fast != origin(slow)) {
		t.Fatalf("%s\nby hand: %+v, %v\nin general: %+v, %v", data, fast, fastErr, slow, slowErr)
	}
}

func FuzzDecodeMetadata(f *testing.F) {
	for _, data := range []string{
		``, `{}`, `null`, `{"actor":7}`, `{"actor":7,}`, `{"address":"::1"}`, `{"address":7}`,
		`{"actor":7,"auth":"token:1","causation":"c","commitments":{"event":"e","origin":"o"},"correlation":"d","node":"n","request":"r"}`,
		`{"auth":"a","actor":7}`, `{"actor":7 ,"later":[1]}`, `{"commitments":{"later":"x"}}`, `{"Auth":"a","auth":"b"}`, `{"auth":"\u0061"}`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		compareMeta(t, data)
		compareOrigin(t, data)
	})
}

// What metadata says comes back; only who has a request and no correlation gets one.
func TestMetadataRoundTrip(t *testing.T) {
	t.Parallel()
	for _, m := range []domain.Metadata{
		{},
		{Actor: 7, Auth: "token:3", RequestID: "r", Correlation: "r", Node: "n"},
		{RequestID: "r", Correlation: "c", Causation: "x", Address: "::1"},
		{Correlation: "c"},
	} {
		if got := storable(m).metadata(origin{Address: m.Address}); got != m {
			t.Errorf("%+v comes back as %+v", m, got)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	meta := domain.Metadata{Actor: 7, Auth: "password", Address: "203.0.113.9", RequestID: "r", Correlation: "r"}
	events := []domain.Event{pushed, account.ProfileChanged{ID: 8, Profile: account.Profile{Name: "ann"}}}
	entries, err := encode(Types(), events, meta)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]struct {
		part    string
		subject domain.UserID
		data    string
	}{
		{{"origin", 7, `{"address":"203.0.113.9"}`}},
		{{"event", 8, `{"displayName":"","name":"ann","slug":""}`}, {"origin", 7, `{"address":"203.0.113.9"}`}},
	} {
		var stored storedMeta
		if err := json.Unmarshal(entries[i].meta, &stored); err != nil {
			t.Fatal(err)
		}
		if len(entries[i].personal) != len(want) {
			t.Fatalf("event %d has %d personal rows, want %d", i, len(entries[i].personal), len(want))
		}
		for j, row := range entries[i].personal {
			if row.part != want[j].part || row.subject != want[j].subject || string(row.data) != want[j].data {
				t.Errorf("row %s of %d: %s, want %v", row.part, row.subject, row.data, want[j])
			}
			commitment := stored.Commitments.Origin
			if row.part == partEvent {
				commitment = stored.Commitments.Event
			}
			if len(row.salt) != saltSize || commitment != Commitment(row.salt, row.data) {
				t.Errorf("the commitment to %s is %q, want %q", row.part, commitment, Commitment(row.salt, row.data))
			}
		}
		if bytes.Contains(entries[i].meta, []byte(meta.Address)) || bytes.Contains(entries[i].body, []byte("ann")) {
			t.Errorf("personal data in the log: %s %s", entries[i].body, entries[i].meta)
		}
	}
	if string(entries[0].body) != string(pushed.AppendJSON(nil)) {
		t.Errorf("body %s", entries[0].body)
	}
}

type said1 struct{}

func (said1) EventType() string { return "test.said.v1" }

type said2 struct{}

func (said2) EventType() string { return "test.said.v2" }

// What was encoded before a node came that does not read it is encoded again.
func TestEntriesGetStale(t *testing.T) {
	t.Parallel()
	types := NewRegistry()
	Register[said2](types)
	RegisterOlder(types, func(said1) said2 { return said2{} }, func(said2) said1 { return said1{} })
	r := &request{proposal: Proposal{Stream: "s", Expect: Any, Events: []domain.Event{said2{}}}}
	var err error
	if r.entries, err = encode(types, r.proposal.Events, domain.Metadata{}); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	for _, c := range []struct {
		permitted []string
		stored    string
	}{
		{[]string{"test.said.v1", "test.said.v2"}, "test.said.v2"},
		{[]string{"test.said.v1"}, "test.said.v1"},
		{nil, ""},
	} {
		types.Permit(c.permitted, later)
		b := batch{answers: make([]answer, 1), versions: map[domain.Stream]int64{}}
		if err := b.place(0, r, types); err != nil {
			t.Fatal(err)
		}
		var refused *NotYetReadError
		switch {
		case c.stored == "":
			if !errors.As(b.answers[0].err, &refused) || len(b.entries) != 0 || b.versions["s"] != 0 {
				t.Errorf("what may not be written is answered with %v", b.answers[0].err)
			}
		case len(b.entries) != 1 || b.entries[0].name != c.stored:
			t.Errorf("with %v it is stored as %+v", c.permitted, b.entries)
		}
	}
}

// pushed is what is pushed most often.
var pushed = repository.RefsUpdated{
	Updates: []git.RefUpdate{{
		Name: "refs/heads/main",
		Old:  git.MustParseObjectID("1111111111111111111111111111111111111111"),
		New:  git.MustParseObjectID("2222222222222222222222222222222222222222"),
	}},
	Pack: &git.Pack{ID: git.MustParseObjectID("5555555555555555555555555555555555555555"), Objects: 3, Bytes: 512},
}

var pushMeta = domain.Metadata{
	Actor: 7, Auth: "token:3", Address: "203.0.113.9", Node: "annal-1",
	RequestID: "0193583e-8f3c-7c9e-9b57-0d8f4c3b2a10", Correlation: "0193583e-8f3c-7c9e-9b57-0d8f4c3b2a10",
}

// What the pushing goroutine does before the append lock, and the committer under it.
func BenchmarkPrepare(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		prepare(pushMeta)
	}
}

func BenchmarkEncodePrepared(b *testing.B) {
	types, p := Types(), prepare(pushMeta)
	events := []domain.Event{pushed}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.encode(types, events); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeStored(b *testing.B) {
	types := Types()
	entries, err := encode(types, []domain.Event{pushed}, pushMeta)
	if err != nil {
		b.Fatal(err)
	}
	s := Stored{Position: 1, Type: pushed.EventType(), Body: entries[0].body, Meta: entries[0].meta, personal: &personalParts{origin: entries[0].personal[0].data}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Decode(types); err != nil {
			b.Fatal(err)
		}
	}
}
