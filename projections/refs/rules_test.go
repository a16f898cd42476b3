package refs_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/refs"
	ruled "github.com/annal-git/annal/projections/rules"
)

// ruledNodes are nodes on one database, whose pushes are judged by rules.
func ruledNodes(t *testing.T, n int) ([]*eventstore.Log, *pgxpool.Pool) {
	options := eventstore.Options{Inline: []eventstore.Inline{ruled.Projection{}}, Types: eventstore.Types()}
	first, pool := eventstoretest.Log(t, options)
	logs := []*eventstore.Log{first}
	for range n - 1 {
		log, err := eventstore.Open(t.Context(), pool, options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(log.Close)
		logs = append(logs, log)
	}
	for _, log := range logs {
		log.Arbitrate(refs.NewArbiter(refs.NewReader(pool, log, 1<<20)))
	}
	return logs, pool
}

func setRule(t *testing.T, log *eventstore.Log, target rules.Target, command rules.Command) {
	t.Helper()
	// As the only one who sets rules the test need not mind that the stream moves.
	state, err := ruledState(t, log, target)
	if err != nil {
		t.Fatal(err)
	}
	events, err := rules.Decide(state, target, command)
	if err == nil {
		_, err = log.Append(t.Context(), eventstore.Proposal{Stream: target.Stream(), Expect: eventstore.Any, Events: events})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func ruledState(t *testing.T, log *eventstore.Log, target rules.Target) (state rules.State, err error) {
	events, err := log.ReadStream(t.Context(), target.Stream(), 0, 1_000_000)
	for _, e := range events {
		state = rules.Evolve(state, e.Event)
	}
	return state, err
}

func readOnly(id int64) rules.SetRestrictions {
	return rules.SetRestrictions{Restrictions: []rules.Restriction{{
		ID: id, Type: rules.ReadOnly, Matcher: rules.Matcher{Type: rules.Pattern, ID: "guarded/*"}, Users: []domain.UserID{9},
	}}}
}

// However rules come and go while nodes push, no push that stands behind a rule in the log
// has moved a ref against it: rules of the repository, of its project, of the project that
// it is moved to and back, set on one node and pushed to on others.
func TestNoPushPassesRulesThatStandBeforeIt(t *testing.T) {
	t.Parallel()
	logs, _ := ruledNodes(t, 3)
	create(t, logs[0], 1)
	const rounds, pushers = 12, 6
	done := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	more := sync.NewCond(&mu)
	refused, moved := 0, 0
	// await waits until so many pushes more have been answered.
	await := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		for from := refused + moved; refused+moved < from+n && !t.Failed(); {
			more.Wait()
		}
	}
	for i := range pushers {
		log := logs[i%len(logs)]
		wg.Go(func() {
			ref, at := fmt.Sprintf("refs/heads/guarded/%d", i), git.ZeroID
			free, freeAt := fmt.Sprintf("refs/heads/free/%d", i), git.ZeroID
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				next := git.ObjectID{0: byte(i + 1), 1: byte(n), 2: byte(n >> 8), 19: 1}
				results, err := refs.Push(t.Context(), log, 1, repository.PushRefs{Updates: []git.RefUpdate{
					{Name: ref, Old: at, New: next}, {Name: free, Old: freeAt, New: next},
				}, By: rules.Pusher{User: 5}}, domain.Metadata{})
				if err != nil {
					t.Error(err)
					more.Broadcast()
					return
				}
				if !results[1].OK() {
					t.Errorf("a ref that no rule is about: %s", results[1].Reason)
				}
				freeAt = next
				mu.Lock()
				if results[0].OK() {
					at = next
					moved++
				} else {
					refused++
					if results[0].Rule != string(rules.ReadOnly) || !strings.Contains(results[0].Reason, "read-only") {
						t.Errorf("%+v", results[0])
					}
				}
				more.Broadcast()
				mu.Unlock()
			}
		})
	}
	own, project, other := rules.Target{Repository: 1}, rules.Target{Project: 1}, rules.Target{Project: 2}
	setRule(t, logs[1], other, readOnly(3))
	for round := range rounds {
		log := logs[round%len(logs)]
		setRule(t, log, project, readOnly(2))
		await(pushers) // that another event of the repository's stream does not bring the rule to their notice
		setRule(t, log, own, readOnly(1))
		setRule(t, log, project, rules.RemoveRestriction{ID: 2})
		setRule(t, log, own, rules.RemoveRestriction{ID: 1})
		await(pushers)
		for _, to := range []domain.ProjectID{2, 1} {
			if _, err := log.Append(t.Context(), eventstore.Proposal{
				Stream: domain.RepositoryStream(1), Expect: eventstore.Any, Events: []domain.Event{repository.Moved{ID: 1, Project: to}},
			}); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	wg.Wait()

	// What the log says, read afterwards by nothing but its order.
	inForce := map[rules.Target]bool{}
	in := domain.ProjectID(1)
	late := 0
	events, err := logs[0].ReadAll(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		switch event := e.Event.(type) {
		case rules.RestrictionSet:
			inForce[event.Target] = true
		case rules.RestrictionRemoved:
			delete(inForce, event.Target)
		case repository.Moved:
			in = event.Project
		case repository.RefsUpdated:
			for _, u := range event.Updates {
				if strings.HasPrefix(u.Name, "refs/heads/guarded/") && (inForce[own] || inForce[rules.Target{Project: in}]) {
					late++
				}
			}
		}
	}
	if late > 0 {
		t.Errorf("%d pushes stand behind a rule that forbids them", late)
	}
	if refused == 0 || moved == 0 {
		t.Errorf("the rules were not met: %d refused, %d moved", refused, moved)
	}
	t.Logf("%d moved, %d refused, %d events", moved, refused, len(events))
}

// Who is exempt may, and a node that has not heard of a change judges by it nevertheless.
func TestRulesOfProjectReachOtherNodes(t *testing.T) {
	t.Parallel()
	logs, _ := ruledNodes(t, 2)
	create(t, logs[0], 1)
	at := git.ZeroID
	try := func(by domain.UserID, n byte) bool {
		results, err := refs.Push(t.Context(), logs[1], 1, repository.PushRefs{
			Updates: []git.RefUpdate{{Name: "refs/heads/guarded/x", Old: at, New: object(n)}}, By: rules.Pusher{User: by, Project: "PRJ"},
		}, domain.Metadata{})
		if err != nil {
			t.Fatal(err)
		}
		if results[0].OK() {
			at = object(n)
		} else if want := "refs/heads/guarded/x is read-only: branch permission 4 of project PRJ"; !strings.HasPrefix(results[0].Reason, want) {
			t.Errorf("refused with %q, want %q", results[0].Reason, want)
		}
		return results[0].OK()
	}
	if !try(5, 1) {
		t.Error("refused without a rule")
	}
	setRule(t, logs[0], rules.Target{Project: 1}, readOnly(4))
	if try(5, 2) {
		t.Error("let through against a rule of the project")
	}
	if !try(9, 3) {
		t.Error("refused though exempt")
	}
	setRule(t, logs[0], rules.Target{Project: 1}, rules.RemoveRestriction{ID: 4})
	if !try(5, 4) {
		t.Error("refused by a rule that is gone")
	}
}

// A push whose objects were inspected by other rules than hold now is sent back.
func TestStaleInspectionIsRefused(t *testing.T) {
	t.Parallel()
	logs, _ := ruledNodes(t, 1)
	create(t, logs[0], 1)
	size := int64(100)
	target := rules.Target{Repository: 1}
	setRule(t, logs[0], target, rules.SetPushRules{Change: func(p *rules.PushRules) { p.MaxFileSize = &size }})
	content := rules.Combine(nil, &rules.State{Push: rules.PushRules{MaxFileSize: &size}}).Content()
	for _, c := range []struct {
		mark string
		pack *git.Pack
		ok   bool
	}{
		{"", &git.Pack{ID: object(9)}, false},
		{"other", &git.Pack{ID: object(9)}, false},
		{content.Mark, &git.Pack{ID: object(9)}, true},
		{"", nil, true}, // brings nothing
	} {
		results, err := refs.Push(t.Context(), logs[0], 1, repository.PushRefs{
			Updates: []git.RefUpdate{{Name: fmt.Sprintf("refs/heads/%t-%q", c.pack == nil, c.mark), New: object(1)}}, Pack: c.pack, Base: 10, Inspected: c.mark,
		}, domain.Metadata{})
		if err != nil {
			t.Fatal(err)
		}
		if results[0].OK() != c.ok {
			t.Errorf("mark %q, pack %v: %+v", c.mark, c.pack, results[0])
		}
	}
}
