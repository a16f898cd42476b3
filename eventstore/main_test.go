package eventstore_test

import (
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// counted is an event for tests.
type counted struct {
	N int `json:"n"`
}

func (counted) EventType() string { return "test.counted.v1" }

// greeted is an event with a personal part.
type greeted struct {
	User domain.UserID `json:"user"`
	Name greetedName   `json:"-"`
}

type greetedName struct {
	Name string `json:"name"`
}

func (greeted) EventType() string        { return "test.greeted.v1" }
func (g greeted) Subject() domain.UserID { return g.User }
func (g *greeted) PersonalData() any     { return &g.Name }

func types() *eventstore.Registry {
	r := eventstore.NewRegistry()
	eventstore.Register[counted](r)
	eventstore.Register[greeted](r)
	return r
}
