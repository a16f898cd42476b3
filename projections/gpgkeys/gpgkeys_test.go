package gpgkeys_test

import (
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/gpgkey"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/gpgkeys"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

func TestKeys(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}, gpgkeys.Projection{}}})
	reader := gpgkeys.NewReader(pool)
	add := func(user domain.UserID, events ...domain.Event) {
		t.Helper()
		if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: domain.UserStream(user), Expect: eventstore.Any, Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	count := func(email string, want int) {
		t.Helper()
		if keys, err := reader.OfEmail(t.Context(), email); err != nil || len(keys) != want {
			t.Errorf("%q has %d keys (%v), want %d", email, len(keys), err, want)
		}
	}
	key := func(user domain.UserID, id gpgkey.ID) domain.Event {
		return gpgkey.Added{User: user, ID: id, Details: gpgkey.Details{Fingerprint: "f", KeyID: "k", Text: "text"}}
	}
	for user, email := range map[domain.UserID]string{1: "Ada@example.org", 2: "eve@example.org", 3: ""} {
		name := string(rune('a' + user))
		add(user, account.Created{ID: user, Type: account.Normal, Profile: account.Profile{Name: name, Slug: name, DisplayName: name, Email: email}}, key(user, gpgkey.ID(user)))
	}
	add(1, key(1, 10))
	count("ada@EXAMPLE.org", 2)
	count("eve@example.org", 1)
	count("", 0)
	if keys, err := reader.OfUser(t.Context(), 1); err != nil || len(keys) != 2 || keys[1].Text != "text" || keys[1].ID != 10 {
		t.Errorf("%+v, %v", keys, err)
	}
	add(1, gpgkey.Removed{User: 1, ID: 10})
	count("ada@example.org", 1)
	add(1, account.Deactivated{ID: 1})
	count("ada@example.org", 0)
	add(2, account.Erased{ID: 2, Positions: [][2]int64{}})
	if keys, err := reader.OfUser(t.Context(), 2); err != nil || len(keys) != 0 {
		t.Errorf("an erased user has %+v, %v", keys, err)
	}
	builder := projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends}
	if differences, _, err := builder.Verify(t.Context(), gpgkeys.Projection{}); err != nil || len(differences) > 0 {
		t.Errorf("%+v, %v", differences, err)
	}
}
