package ratelimit_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/ratelimit"
)

var start = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

func TestBucket(t *testing.T) {
	t.Parallel()
	limit := ratelimit.Limit{Capacity: 3, FillRate: 2}
	var b ratelimit.Bucket
	for i, step := range []struct {
		at   time.Duration
		wait time.Duration // 0: a token is there
	}{
		{0, 0}, {0, 0}, {0, 0}, {0, 500 * time.Millisecond},
		{300 * time.Millisecond, 200 * time.Millisecond},
		{200 * time.Millisecond, 200 * time.Millisecond}, // a clock that goes back
		{500 * time.Millisecond, 0}, {500 * time.Millisecond, 500 * time.Millisecond},
		{time.Hour, 0}, {time.Hour, 0}, {time.Hour, 0}, {time.Hour, 500 * time.Millisecond},
	} {
		if wait := b.Take(start.Add(step.at), limit); (wait - step.wait).Abs() > time.Microsecond {
			t.Errorf("step %d: wait %v, want %v", i, wait, step.wait)
		}
	}
	// A smaller limit holds at once, a larger one gives no tokens for the past.
	b = ratelimit.Bucket{}
	b.Fill(start, ratelimit.Limit{Capacity: 60, FillRate: 5})
	if b.Fill(start, limit); b.Tokens != 3 {
		t.Errorf("%v tokens in a bucket that was made smaller", b.Tokens)
	}
	if b.Fill(start, ratelimit.Limit{Capacity: 60, FillRate: 5}); b.Tokens != 3 {
		t.Errorf("%v tokens in a bucket that was made larger", b.Tokens)
	}
}

// In no span of time does a bucket give more than it holds and what flows in, and whoever waits
// as long as he is told gets a token.
func TestBucketNeverGivesMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := ratelimit.Limit{Capacity: rapid.IntRange(1, 20).Draw(t, "capacity"), FillRate: rapid.IntRange(1, 50).Draw(t, "rate")}
		var b ratelimit.Bucket
		var given []time.Time
		now := start
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "pause")) * time.Millisecond / time.Duration(limit.FillRate))
			wait := b.Take(now, limit)
			if wait == 0 {
				given = append(given, now)
				continue
			}
			after := b
			if after.Take(now.Add(wait+time.Microsecond), limit) != 0 {
				t.Fatalf("no token after the wait of %v", wait)
			}
		}
		for i := range given {
			for j := i; j < len(given); j++ {
				most := float64(limit.Capacity) + given[j].Sub(given[i]).Seconds()*float64(limit.FillRate)
				if float64(j-i+1) > most+1e-6 {
					t.Fatalf("%d tokens in %v, at most %v", j-i+1, given[j].Sub(given[i]), most)
				}
			}
		}
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	on, own := true, ratelimit.Own{Limit: ratelimit.Limit{Capacity: 10, FillRate: 1}}
	changed := ratelimit.SettingsChanged{Old: ratelimit.Settings{Default: ratelimit.Default}, Settings: ratelimit.Settings{Enabled: true, Default: ratelimit.Default}}
	many := make([]domain.UserID, ratelimit.MaxAtOnce+1)
	full := ratelimit.State{Users: map[domain.UserID]ratelimit.Own{}}
	for i := range ratelimit.MaxUsers {
		full.Users[domain.UserID(i+1)] = own
	}
	var none ratelimit.State
	fold := func(events ...domain.Event) (s ratelimit.State) {
		for _, e := range events {
			s = ratelimit.Evolve(s, e)
		}
		return s
	}
	for name, c := range map[string]struct {
		state   ratelimit.State
		command ratelimit.Command
		want    []domain.Event
		err     any
	}{
		"on":                   {none, ratelimit.Change{Enabled: &on}, []domain.Event{changed}, nil},
		"on again":             {fold(changed), ratelimit.Change{Enabled: &on}, nil, nil},
		"nothing holds":        {none, ratelimit.Change{Default: &ratelimit.Limit{FillRate: 5}}, nil, new(*domain.InvalidError)},
		"nothing flows":        {none, ratelimit.Change{Default: &ratelimit.Limit{Capacity: 5}}, nil, new(*domain.InvalidError)},
		"a user":               {none, ratelimit.SetUsers{Users: []domain.UserID{7, 8, 7}, Own: own}, []domain.Event{ratelimit.UsersSet{Users: []domain.UserID{7, 8}, Own: own}}, nil},
		"those who are not so": {fold(ratelimit.UsersSet{Users: []domain.UserID{7}, Own: own}), ratelimit.SetUsers{Users: []domain.UserID{7, 8}, Own: own}, []domain.Event{ratelimit.UsersSet{Users: []domain.UserID{8}, Own: own}}, nil},
		"exempt":               {none, ratelimit.SetUsers{Users: []domain.UserID{7}, Own: ratelimit.Own{Exempt: true}}, []domain.Event{ratelimit.UsersSet{Users: []domain.UserID{7}, Own: ratelimit.Own{Exempt: true}}}, nil},
		"exempt and limited":   {none, ratelimit.SetUsers{Users: []domain.UserID{7}, Own: ratelimit.Own{Exempt: true, Limit: ratelimit.Default}}, nil, new(*domain.InvalidError)},
		"neither":              {none, ratelimit.SetUsers{Users: []domain.UserID{7}}, nil, new(*domain.InvalidError)},
		"nobody":               {none, ratelimit.SetUsers{Own: own}, nil, new(*domain.InvalidError)},
		"too many at once":     {none, ratelimit.SetUsers{Users: many, Own: own}, nil, new(*domain.InvalidError)},
		"too many":             {full, ratelimit.SetUsers{Users: []domain.UserID{ratelimit.MaxUsers + 1}, Own: own}, nil, new(*domain.ConflictError)},
		"another one in full":  {full, ratelimit.SetUsers{Users: []domain.UserID{1}, Own: ratelimit.Own{Exempt: true}}, []domain.Event{ratelimit.UsersSet{Users: []domain.UserID{1}, Own: ratelimit.Own{Exempt: true}}}, nil},
		"reset":                {fold(ratelimit.UsersSet{Users: []domain.UserID{7}, Own: own}), ratelimit.ResetUser{User: 7}, []domain.Event{ratelimit.UserReset{User: 7}}, nil},
		"reset of none":        {fold(ratelimit.UsersSet{Users: []domain.UserID{7}, Own: own}, ratelimit.UserReset{User: 7}), ratelimit.ResetUser{User: 7}, nil, new(*domain.NotFoundError)},
	} {
		got, err := ratelimit.Decide(c.state, c.command)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if (err != nil) != (c.err != nil) || c.err != nil && !errors.As(err, c.err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	r := ratelimit.Rules{Settings: ratelimit.Settings{Default: ratelimit.Default}, Users: map[domain.UserID]ratelimit.Own{
		7: {Exempt: true}, 8: {Limit: ratelimit.Limit{Capacity: 1, FillRate: 1}},
	}}
	if _, limited := r.Of(7); limited {
		t.Error("somebody who is exempt is limited")
	}
	if limit, limited := r.Of(8); !limited || limit.Capacity != 1 {
		t.Errorf("%v %t", limit, limited)
	}
	if limit, limited := r.Of(9); !limited || limit != ratelimit.Default {
		t.Errorf("%v %t", limit, limited)
	}
}
