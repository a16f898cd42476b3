package gpgkey_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/gpgkey"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	var state gpgkey.State
	add := func(n int) error {
		events, err := gpgkey.Decide(state, gpgkey.Add{User: 5, ID: gpgkey.ID(n), Details: gpgkey.Details{Fingerprint: fmt.Sprint("f", n)}})
		for _, e := range events {
			state = gpgkey.Evolve(state, e)
		}
		return err
	}
	for n := range gpgkey.MaxKeys {
		if err := add(n); err != nil {
			t.Fatal(err)
		}
	}
	var invalid *domain.InvalidError
	var conflict *domain.ConflictError
	if err := add(gpgkey.MaxKeys); !errors.As(err, &invalid) {
		t.Errorf("one too many: %v", err)
	}
	if err := add(3); !errors.As(err, &conflict) {
		t.Errorf("again: %v", err)
	}
	events, err := gpgkey.Decide(state, gpgkey.Remove{User: 5, IDs: []gpgkey.ID{3, 3, 4, 1000}})
	if err != nil || len(events) != 2 {
		t.Fatalf("%v, %v", events, err)
	}
	before := len(state)
	for _, e := range events {
		state = gpgkey.Evolve(state, e)
	}
	if len(state) != before-2 || add(3) != nil {
		t.Errorf("%d keys are left of %d", len(state), before)
	}
	if _, err := gpgkey.Decide(nil, gpgkey.Add{Details: gpgkey.Details{Text: strings.Repeat("x", gpgkey.MaxBytes+1)}}); !errors.As(err, &invalid) {
		t.Errorf("a large key: %v", err)
	}
}
