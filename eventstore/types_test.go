package eventstore_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"

	"github.com/annal-git/annal/eventstore"
)

// Every event type ever written has a sample; what the sample says must survive
// decoding and encoding for ever.
func TestSamplesOfEveryType(t *testing.T) {
	t.Parallel()
	types := eventstore.Types()
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var sampled []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		sampled = append(sampled, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sample, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			event, err := types.Decode(name, sample, nil)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := jcs.Transform(encoded)
			want, err := jcs.Transform(sample)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("the sample\n%s\ncomes back as\n%s", want, got)
			}
		})
	}
	registered := types.Names()
	slices.Sort(registered)
	slices.Sort(sampled)
	if !slices.Equal(registered, sampled) {
		t.Errorf("registered types %v\nand samples %v differ", registered, sampled)
	}
}

func FuzzDecode(f *testing.F) {
	types := eventstore.Types()
	for _, name := range types.Names() {
		if sample, err := os.ReadFile(filepath.Join("testdata/events", name+".json")); err == nil {
			f.Add(name, sample, []byte(nil))
		}
	}
	f.Add("user.created.v1", []byte(`{}`), []byte(`{"name":"x"}`))
	f.Fuzz(func(t *testing.T, name string, body, personal []byte) {
		event, err := types.Decode(name, body, personal)
		if err != nil {
			return
		}
		if event.EventType() != name {
			t.Errorf("%s decoded as %s", name, event.EventType())
		}
		if _, err := json.Marshal(event); err != nil {
			t.Errorf("decoded but cannot be encoded: %v", err)
		}
	})
}
