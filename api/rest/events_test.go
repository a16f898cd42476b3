package rest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/repository"
)

type feed struct {
	Values []struct {
		Position int64
		Stream   string
		Type     string
		At       string
		Body     map[string]any
		Meta     map[string]any
	}
	Next, Head int64
}

func (w *world) feed(user, query string) feed {
	w.t.Helper()
	var f feed
	if err := json.Unmarshal(w.ok(user, "GET", "/rest/annal/1.0/events"+query, "", 200).Body.Bytes(), &f); err != nil {
		w.t.Fatal(err)
	}
	return f
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"secret"}`, 201)
	w.ok(owner, "POST", "/rest/api/1.0/projects", `{"key":"OPEN","name":"Open","public":true}`, 201)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"gone"}`, 201)
	w.ok(owner, "DELETE", "/rest/api/1.0/projects/PRJ/repos/gone", "", 202)

	all := w.feed(admin, "?limit=1000")
	head := w.head()
	if int64(len(all.Values)) != head || all.Next != head || all.Head != head {
		t.Fatalf("%d values, next %d, head %d of %d", len(all.Values), all.Next, all.Head, head)
	}
	for i, e := range all.Values {
		if e.Position != int64(i+1) || e.At == "" || e.Meta == nil {
			t.Errorf("%+v", e)
		}
		if e.Type == "user.created.v1" && (e.Body["id"] == nil || len(e.Body) != 2) {
			t.Errorf("personal data in a body: %v", e.Body)
		}
	}
	streams := func(user string) map[string]bool {
		seen := map[string]bool{}
		for after := int64(0); ; {
			f := w.feed(user, fmt.Sprintf("?after=%d&limit=3", after))
			for _, e := range f.Values {
				seen[e.Stream] = true
			}
			if f.Next == after {
				return seen
			}
			after = f.Next
		}
	}
	for user, want := range map[string]string{
		reader:   "map[project/2:true repository/1:true user/104:true]",
		outsider: "map[project/2:true user/105:true]",
		owner:    "map[project/1:true project/2:true repository/1:true repository/2:true user/102:true]",
	} {
		if got := fmt.Sprint(streams(user)); got != want {
			t.Errorf("%s reads %s, want %s", user, got, want)
		}
	}
	if got := fmt.Sprint(streams(w.token(admin, `["REPO_READ"]`))); got != "map[repository/1:true repository/2:true user/100:true]" {
		t.Errorf("an administrator's token to read repositories reads %s", got)
	}
	w.ok(nobody, "GET", "/rest/annal/1.0/events", "", 401)
	for _, query := range []string{"?after=-1", "?after=x", "?after=9223372036854775807", "?after=9999999999999999999", "?limit=-1"} {
		w.ok(admin, "GET", "/rest/annal/1.0/events"+query, "", 400)
	}
	if f := w.feed(admin, "?after=1000000"); len(f.Values) != 0 || f.Next != 1000000 {
		t.Errorf("%+v", f)
	}
}

// A log of large events is answered in parts that fit into memory, and nothing is lost
// between them.
func TestEventsInParts(t *testing.T) {
	w := newWorld(t)
	before := w.head()
	const large = 300
	option := strings.Repeat("x", 64<<10)
	for range large / 10 {
		events := make([]domain.Event, 10)
		for i := range events {
			events[i] = repository.RefsUpdated{Options: []string{option}}
		}
		w.append("repository/1", events...)
	}
	seen, answers := 0, 0
	for after := before; after < before+large; answers++ {
		a := w.ok(admin, "GET", fmt.Sprintf("/rest/annal/1.0/events?after=%d&limit=1000", after), "", 200)
		if a.Body.Len() > 8<<20 {
			t.Fatalf("an answer of %d bytes", a.Body.Len())
		}
		var f feed
		if err := json.Unmarshal(a.Body.Bytes(), &f); err != nil || f.Next <= after {
			t.Fatalf("next %d after %d, %v", f.Next, after, err)
		}
		seen, after = seen+len(f.Values), f.Next
	}
	if seen != large || answers < 3 {
		t.Errorf("%d events in %d answers", seen, answers)
	}
}
