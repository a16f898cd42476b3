package repository_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// plain is RefsUpdated as encoding/json sees it.
type plain repository.RefsUpdated

func generalRefsUpdated(t *rapid.T, e repository.RefsUpdated) string {
	text, err := json.Marshal(plain(e))
	if err != nil {
		t.Fatal(err)
	}
	text, err = jcs.Transform(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anyText is text of all kinds: ref names as they are, control characters, bytes that
// are not UTF-8.
func anyText(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.StringMatching(`refs/(heads|tags)/[a-zé/.-]{1,20}`),
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	).Draw(t, label)
}

func anyID(t *rapid.T, label string) (id git.ObjectID) {
	if rapid.Bool().Draw(t, label+" is there") {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(t, label))
	}
	return id
}

func anyRefsUpdated(t *rapid.T) (e repository.RefsUpdated) {
	if rapid.Bool().Draw(t, "updates") {
		e.Updates = []git.RefUpdate{}
	}
	for range rapid.IntRange(0, 4).Draw(t, "number of updates") {
		e.Updates = append(e.Updates, git.RefUpdate{
			Name: anyText(t, "name"), Old: anyID(t, "old"), New: anyID(t, "new"), Peeled: anyID(t, "peeled"), Forced: rapid.Bool().Draw(t, "forced"),
		})
	}
	if rapid.Bool().Draw(t, "pack") {
		e.Pack = &git.Pack{ID: anyID(t, "pack id"), Objects: rapid.Int64().Draw(t, "objects"), Bytes: rapid.Int64().Draw(t, "bytes")}
	}
	for range rapid.IntRange(0, 2).Draw(t, "number of options") {
		e.Options = append(e.Options, anyText(t, "option"))
	}
	return e
}

// The encoder by hand writes what the general one does, and the decoder reads it as the
// general one does.
func TestRefsUpdatedJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyRefsUpdated(t)
		text := generalRefsUpdated(t, e)
		if got := string(e.AppendJSON(nil)); got != text {
			t.Fatalf("%s\nwant\n%s", got, text)
		}
		if got := string(e.AppendJSON([]byte("before"))); got != "before"+text {
			t.Fatalf("appended: %s", got)
		}
		compareDecoders(t, []byte(text))
	})
}

func compareDecoders(t interface {
	Fatalf(format string, args ...any)
}, body []byte) {
	var fast repository.RefsUpdated
	var general plain
	fastErr, generalErr := fast.DecodeJSON(body), json.Unmarshal(body, &general)
	if (fastErr == nil) != (generalErr == nil) {
		t.Fatalf("%s\nby hand: %v\nin general: %v", body, fastErr, generalErr)
	}
	if fastErr == nil && !reflect.DeepEqual(fast, repository.RefsUpdated(general)) {
		t.Fatalf("%s\nby hand: %+v\nin general: %+v", body, fast, general)
	}
}

func FuzzRefsUpdatedDecodeJSON(f *testing.F) {
	const id = `"1111111111111111111111111111111111111111"`
	for _, body := range []string{
		``, `{}`, `null`, `{"updates":null}`, `{"updates":[]}`, `{"updates":[null]}`, `{"options":[],"updates":[]}`,
		`{"options":["a","\u0062"],"pack":{"bytes":1,"id":` + id + `,"objects":2},"updates":[{"forced":true,"name":"refs/heads/a","new":` + id + `,"old":` + id + `,"peeled":` + id + `}]}`,
		`{"updates":[{"name":"a","new":` + id + `,"old":` + id + `}]}`,
		`{"updates":[{"name":"a","new":` + id + `,"old":` + id + `},]}`,
		`{"updates":[{"name":"a","new":` + id + `,"old":` + id + `}]}}`,
		`{"updates":[{"name":"a","new":` + id + `"old":` + id + `}]}`,
		`{"updates":[{"a","new":` + id + `,"old":` + id + `}]}`,
		`{"updates":[{"later":7,"name":"a","new":` + id + `,"old":` + id + `}],"laterToo":{}}`,
		`{"UPDATES":[{"Name":"a","New":` + id + `,"Old":` + id + `}],"updates":[{"Name":"b"}]}`,
		`{"pack":{"bytes":1e3,"id":` + id + `,"objects":-0},"updates":[]}`,
		`{"pack":{"bytes":9223372036854775808,"id":` + id + `,"objects":0},"updates":[]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { compareDecoders(t, body) })
}

// push is what is pushed most often: one branch and a pack.
var push = repository.RefsUpdated{
	Updates: []git.RefUpdate{{
		Name: "refs/heads/main",
		Old:  git.MustParseObjectID("1111111111111111111111111111111111111111"),
		New:  git.MustParseObjectID("2222222222222222222222222222222222222222"),
	}},
	Pack: &git.Pack{ID: git.MustParseObjectID("5555555555555555555555555555555555555555"), Objects: 3, Bytes: 512},
}

func BenchmarkRefsUpdatedAppendJSON(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		push.AppendJSON(nil)
	}
}

func BenchmarkRefsUpdatedDecodeJSON(b *testing.B) {
	body := push.AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		var e repository.RefsUpdated
		if err := e.DecodeJSON(body); err != nil {
			b.Fatal(err)
		}
	}
}
