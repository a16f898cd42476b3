package eventstore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
)

// A sample is NAME.json, the body of an event of the type NAME, with NAME.personal.json
// beside it if the type has a personal part. What a version of a type before the newest
// becomes is in NAME.upcast.json. Samples are never changed nor removed: there are logs
// that hold the like.
const samples = "testdata/events"

// Every event type ever written has a sample; what the sample says must survive
// decoding and encoding for ever.
func TestSamplesOfEveryType(t *testing.T) {
	t.Parallel()
	types := eventstore.Types()
	for _, name := range types.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, personal := sample(t, name), []byte(nil)
			if _, err := os.Stat(filepath.Join(samples, name+".personal.json")); err == nil {
				personal = sample(t, name+".personal")
			}
			event, err := types.Decode(name, body, personal)
			if err != nil {
				t.Fatal(err)
			}
			if newest := types.Newest(name); newest != event.EventType() {
				t.Fatalf("decoded as %s, want %s", event.EventType(), newest)
			}
			want := body
			if event.EventType() != name {
				want = sample(t, name+".upcast")
			}
			compareJSON(t, event, want)
			if part, ok := personalPart(event); ok != (personal != nil) {
				t.Errorf("the type has a personal part: %t; there is a sample of it: %t", ok, personal != nil)
			} else if ok {
				compareJSON(t, part, personal)
			}
		})
	}
}

// personalPart is the part of an event that is kept beside the log, if it has one.
func personalPart(event domain.Event) (any, bool) {
	pointer := reflect.New(reflect.TypeOf(event))
	pointer.Elem().Set(reflect.ValueOf(event))
	p, ok := pointer.Interface().(domain.Personal)
	if !ok {
		return nil, false
	}
	return p.PersonalData(), true
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(samples, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compareJSON(t *testing.T, v any, want []byte) {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jcs.Transform(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if want, err = jcs.Transform(want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the sample\n%s\ncomes back as\n%s", want, got)
	}
}

// No sample has changed, gone or come without being listed. After adding one:
// sha256sum *.json > SHA256SUMS, and look at the difference.
func TestSamplesStay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(samples + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var sums strings.Builder
	types := eventstore.Types()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(file)
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), base)
		name := strings.TrimSuffix(base, ".json")
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".personal"), ".upcast")
		if !slices.Contains(types.Names(), name) {
			t.Errorf("%s is a sample of a type that is not registered", file)
		}
	}
	listed, err := os.ReadFile(samples + "/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	if sums.String() != string(listed) {
		t.Errorf("the samples are\n%s\nand those listed\n%s", sums.String(), listed)
	}
}

// FuzzDecode decodes whatever a body may hold as whatever type: an error or an event of
// the newest version of its type, that can be encoded again.
func FuzzDecode(f *testing.F) {
	types := eventstore.Types()
	for _, name := range types.Names() {
		body, err := os.ReadFile(filepath.Join(samples, name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		personal, _ := os.ReadFile(filepath.Join(samples, name+".personal.json")) // most have none
		f.Add(name, body, personal)
		f.Add(name, []byte(`{}`), []byte(`{}`))
		f.Add(name, []byte(`[1,`), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, name string, body, personal []byte) {
		event, err := types.Decode(name, body, personal)
		if err != nil {
			return
		}
		if event.EventType() != types.Newest(name) {
			t.Errorf("%s decoded as %s", name, event.EventType())
		}
		if _, err := json.Marshal(event); err != nil {
			t.Errorf("decoded but cannot be encoded: %v", err)
		}
		if part, ok := personalPart(event); ok {
			if _, err := json.Marshal(part); err != nil {
				t.Errorf("decoded but its personal part cannot be encoded: %v", err)
			}
		}
	})
}
