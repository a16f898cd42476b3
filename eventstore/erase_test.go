package eventstore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

func TestErase(t *testing.T) {
	t.Parallel()
	types := eventstore.Types()
	eventstore.Register[counted](types)
	log, pool := eventstoretest.Log(t, eventstore.Options{Types: types})
	ctx := t.Context()
	appendTo := func(stream domain.Stream, actor domain.UserID, events ...domain.Event) {
		t.Helper()
		meta := domain.Metadata{Actor: actor, Address: fmt.Sprintf("192.0.2.%d", actor)}
		if _, err := log.Append(ctx, eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events, Meta: meta}); err != nil {
			t.Fatal(err)
		}
	}
	user := func(id domain.UserID) account.Created {
		return account.Created{ID: id, Type: account.Normal, Profile: account.Profile{Name: fmt.Sprint("user", id)}}
	}
	appendTo("user/1", 1, user(1))                                                 // 1
	appendTo("user/2", 1, user(2), account.PasswordSet{ID: 2})                     // 2, 3
	appendTo("s", 2, counted{1}, counted{2})                                       // 4, 5
	appendTo("s", 1, counted{3})                                                   // 6
	appendTo("s", 2, counted{4})                                                   // 7
	appendTo("user/1", 2, account.ProfileChanged{ID: 1, Profile: user(1).Profile}) // 8: his address, her profile

	before, err := log.ReadAll(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var shown [][2]int64
	erase := func(id domain.UserID) error {
		return eventstore.Erase(ctx, log, id, domain.Metadata{Actor: 2, Address: "192.0.2.2"}, func(done, all int64) {
			shown = append(shown, [2]int64{done, all})
		})
	}
	if err := erase(2); err != nil {
		t.Fatal(err)
	}
	if last := shown[len(shown)-1]; last[0] != last[1] || last[1] != 10 {
		t.Errorf("progress ends at %v", last)
	}
	var left int
	if err := pool.QueryRow(ctx, `select count(*) from log.personal where subject = 2`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d personal rows are left, %v", left, err)
	}
	after, err := log.ReadAll(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != 10 {
		t.Fatalf("the log has %d events, want 10", len(after))
	}
	for i, e := range before {
		switch e.Position {
		case 2:
			e.Event = account.Created{ID: 2, Type: account.Normal}
		case 4, 5, 7, 8:
			e.Meta.Address = ""
		}
		if after[i] != e {
			t.Errorf("event %d is read as %+v, want %+v", e.Position, after[i], e)
		}
	}
	if got, want := fmt.Sprint(after[8].Event, after[9].Event), "{2 []} {2 [[2 5] [7 8]]}"; got != want {
		t.Errorf("the erasure is in the log as %s, want %s", got, want)
	}

	if err := erase(2); err != nil {
		t.Fatal(err)
	}
	if head, err := log.Head(ctx); err != nil || head != 10 {
		t.Errorf("erasing what is erased makes the log end at %d, %v", head, err)
	}
	var missing *domain.NotFoundError
	if err := erase(99); !errors.As(err, &missing) {
		t.Errorf("erasing nobody is answered with %v", err)
	}
}

// An erasure of more than fits into one transaction takes several, and goes on where it
// was broken off.
func TestEraseInSteps(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	ctx := t.Context()
	created := account.Created{ID: 2, Type: account.Normal, Profile: account.Profile{Name: "ann"}}
	if _, err := log.Append(ctx, eventstore.Proposal{Stream: "user/2", Events: []domain.Event{created}}); err != nil {
		t.Fatal(err)
	}
	const events = 2500
	for _, sql := range []string{
		`insert into log.events (position, version, at, id, stream, type, body, meta)
		 select n, n, at, id, 's', 'cluster.created.v1', '{}', '{"commitments":{"origin":"x"}}' from log.events, generate_series(2, $1) n where position = 1`,
		`insert into log.personal (position, part, subject, salt, data)
		 select n, 'origin', case when n % 100 = 0 then 3 else 2 end, '', '{}' from generate_series(2, $1) n`,
	} {
		if _, err := pool.Exec(ctx, sql, events); err != nil {
			t.Fatal(err)
		}
	}
	log.Close() // it has not seen what was put into the log behind its back
	log, err := eventstore.Open(ctx, pool, eventstore.Options{Types: eventstore.Types()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := eventstore.Erase(ctx, log, 2, domain.Metadata{}, nil); err != nil {
		t.Fatal(err)
	}
	stream, err := log.ReadStream(ctx, "user/2", 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	covered := map[int64]bool{}
	for _, e := range stream {
		erased, ok := e.Event.(account.Erased)
		if !ok {
			t.Fatalf("event %d is a %s", e.Position, e.Event.EventType())
		}
		rows := 0
		for _, r := range erased.Positions {
			for p := r[0]; p <= r[1]; p++ {
				covered[p] = true
				rows++
			}
		}
		if rows > 1000 {
			t.Errorf("event %d erases %d rows at once", e.Position, rows)
		}
	}
	for p := int64(1); p <= events; p++ {
		if want := p == 1 || p%100 != 0; covered[p] != want {
			t.Fatalf("event %d is said to be erased: %t", p, covered[p])
		}
	}
	var left int
	if err := pool.QueryRow(ctx, `select count(*) from log.personal`).Scan(&left); err != nil || left != events/100 {
		t.Errorf("%d personal rows are left, want those of the other user, %d (%v)", left, events/100, err)
	}
}
