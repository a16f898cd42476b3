package refusals_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/refusals"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

type world struct {
	*testing.T
	log    *eventstore.Log
	pool   *pgxpool.Pool
	reader *refusals.Reader
}

func newWorld(t *testing.T) *world {
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}}})
	w := &world{t, log, pool, refusals.NewReader(pool)}
	for id, name := range map[domain.UserID]string{1: "jane", 2: "joe"} {
		w.append(id, account.Created{ID: id, Type: account.Normal, Profile: account.Profile{Name: name, Slug: name, DisplayName: name}})
	}
	return w
}

func (w *world) append(user domain.UserID, events ...domain.Event) {
	w.Helper()
	proposal := eventstore.Proposal{Stream: domain.UserStream(user), Expect: eventstore.Any, Events: events, Meta: domain.Metadata{Auth: "system"}}
	if _, err := w.log.Append(w.Context(), proposal); err != nil {
		w.Fatal(err)
	}
}

// record runs a recorder until it has written all that it takes of some refusals.
func (w *world) record(list ...refusals.Refusal) (dropped int) {
	w.Helper()
	r := refusals.NewRecorder(refusals.Config{
		Pool: w.pool, Key: []byte("key"), Keep: time.Hour, Log: slog.New(slog.DiscardHandler), Every: time.Millisecond,
		Dropped: func(n int) { dropped += n },
	})
	for _, refusal := range list {
		r.Record(refusal)
	}
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		w.Fatal(err)
	}
	return dropped
}

func (w *world) list(f refusals.Filter) []refusals.Recorded {
	w.Helper()
	list, _, err := w.reader.List(w.Context(), f, 0, 1000)
	if err != nil {
		w.Fatal(err)
	}
	return list
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	now := time.Now().Truncate(time.Microsecond)
	from := func(address string) domain.Metadata { return domain.Metadata{Address: address, RequestID: "r"} }
	w.record(
		refusals.Refusal{At: now.Add(-time.Minute), Kind: refusals.LogIn, User: 1, Name: "jane", Metadata: from("::1")},
		refusals.Refusal{At: now, Kind: refusals.LogIn, Name: "JOE", Metadata: from("::1")},
		refusals.Refusal{At: now, Kind: refusals.LogIn, Name: "hunter2\x00\xff", Metadata: from("::2")},
		refusals.Refusal{At: now, Kind: refusals.LogIn, Name: "HUNTER2\x00\xff", Metadata: from("::2")},
		refusals.Refusal{At: now, Kind: refusals.Permission, User: 1, Target: rights.Target{Repository: 7}, Need: "REPO_WRITE", Metadata: from("::2")},
		refusals.Refusal{At: now, Kind: refusals.Rule, User: 1, Target: rights.Target{Repository: 7}, Need: "no-deletes", Ref: "refs/heads/main", Metadata: from("::2")},
	)
	all := w.list(refusals.Filter{})
	if len(all) != 6 {
		t.Fatalf("%+v", all)
	}
	if rule := all[0]; rule.User != "jane" || rule.RepoID != 7 || rule.Need != "no-deletes" || rule.Ref != "refs/heads/main" || !rule.At.Equal(now) || rule.Request != "r" || rule.Times != 1 {
		t.Errorf("%+v", rule)
	}
	if all[2].NameHash == "" || all[2].NameHash != all[3].NameHash || all[4].User != "joe" || all[4].NameHash != "" {
		t.Errorf("%+v", all[2:5])
	}
	for name, tt := range map[string]struct {
		filter refusals.Filter
		want   int
	}{
		"user":       {refusals.Filter{User: 1}, 3},
		"address":    {refusals.Filter{Address: "::1"}, 2},
		"repository": {refusals.Filter{Repository: 7}, 2},
		"kind":       {refusals.Filter{Kind: refusals.Rule}, 1},
		"since":      {refusals.Filter{Since: now}, 5},
		"together":   {refusals.Filter{User: 1, Kind: refusals.LogIn, Since: now}, 0},
	} {
		if got := w.list(tt.filter); len(got) != tt.want {
			t.Errorf("%s: %d, want %d", name, len(got), tt.want)
		}
	}
	page, more, err := w.reader.List(t.Context(), refusals.Filter{}, 4, 1)
	if err != nil || !more || len(page) != 1 || page[0].User != "joe" {
		t.Errorf("%+v, %v, %v", page, more, err)
	}

	// Nothing of what was typed is in the table.
	var dump string
	if err := w.pool.QueryRow(t.Context(), `select string_agg(r::text, '|') from access.refusals r`).Scan(&dump); err != nil || bytes.Contains(bytes.ToLower([]byte(dump)), []byte("hunter2")) {
		t.Errorf("%s, %v", dump, err)
	}
	// The application adds and removes rows, and changes none.
	if _, err := w.pool.Exec(t.Context(), `set role annal_app; update access.refusals set user_id = 2`); err == nil {
		t.Error("a refusal could be changed")
	}
}

func TestFloodIsCounted(t *testing.T) {
	w := newWorld(t)
	var flood []refusals.Refusal
	for i := range 3 * refusals.MaxWaiting {
		address := "::1" // of one, and then of everybody
		if i >= refusals.MaxWaiting {
			address = fmt.Sprint("::", i)
		}
		flood = append(flood, refusals.Refusal{At: time.Now(), Kind: refusals.LogIn, Metadata: domain.Metadata{Address: address}})
	}
	dropped := w.record(flood...)
	kept := w.list(refusals.Filter{Kind: refusals.LogIn})
	counted := w.list(refusals.Filter{Kind: refusals.Dropped})
	if dropped != len(flood)-refusals.MaxWaiting || len(counted) != 1 || counted[0].Times != int64(dropped) || len(kept) != refusals.MaxWaiting {
		t.Errorf("%d dropped, %+v, %d kept", dropped, counted, len(kept))
	}
	if n := len(w.list(refusals.Filter{Address: "::1"})); n != refusals.MaxOfAddress {
		t.Errorf("%d of one address", n)
	}
}

func TestErasedUsersHaveNoRefusals(t *testing.T) {
	w := newWorld(t)
	refused := refusals.Refusal{At: time.Now(), Kind: refusals.Permission, User: 1, Need: "ADMIN"}
	other := refused
	other.User = 2
	w.record(refused, other)
	w.append(1, account.Erased{ID: 1, Positions: [][2]int64{}})
	w.record(refused) // it was under way
	if left := w.list(refusals.Filter{}); len(left) != 1 || left[0].User != "joe" {
		t.Errorf("%+v", left)
	}
}

func TestOldRefusalsGo(t *testing.T) {
	w := newWorld(t)
	w.record(refusals.Refusal{At: time.Now().Add(-2 * time.Hour), Kind: refusals.LogIn}, refusals.Refusal{At: time.Now(), Kind: refusals.LogIn})
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r := refusals.NewRecorder(refusals.Config{Pool: w.pool, Key: []byte("key"), Keep: time.Hour, Log: slog.New(slog.DiscardHandler), Every: time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	for len(w.list(refusals.Filter{})) > 1 && ctx.Err() == nil {
	}
	cancel()
	if err := <-done; err != nil || len(w.list(refusals.Filter{})) != 1 {
		t.Errorf("%v, %+v", err, w.list(refusals.Filter{}))
	}
}
