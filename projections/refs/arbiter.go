package refs

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
)

// Arbiter decides pushes: claims whose command is a repository.PushRefs on a
// repository's stream. The outcome is a []git.RefResult. It implements
// eventstore.Arbiter.
type Arbiter struct{}

// Arbitrate implements eventstore.Arbiter. All claims are answered from two reads;
// each sees the refs as the ones before it leave them.
func (Arbiter) Arbitrate(ctx context.Context, tx pgx.Tx, claims []*eventstore.Claim) error {
	view, err := load(ctx, tx, claims)
	if err != nil {
		return err
	}
	for _, claim := range claims {
		id, _ := repositoryOf(claim.Stream)
		push, ok := claim.Command.(repository.PushRefs)
		if !ok {
			return fmt.Errorf("no arbiter for a %T", claim.Command)
		}
		state, exists := view.states[id]
		if !exists {
			claim.Err = domain.NotFound("repository", "The repository no longer exists.")
			continue
		}
		event, results := repository.DecidePush(
			func(name string) git.ObjectID { return view.refs[refKey{id, name}] },
			func(name string) iter.Seq[string] { return view.inTheWay(id, name) },
			push)
		claim.Outcome = results
		if event == nil {
			continue
		}
		claim.Events = []domain.Event{*event}
		for _, u := range event.Updates {
			view.set(refKey{id, u.Name}, u.New)
		}
		if !state.hasBranches {
			if first := repository.FirstBranch(state.head, event.Updates); first != "" {
				claim.Events = append(claim.Events, repository.DefaultBranchChanged{ID: id, Old: state.head, New: first})
				state.head = first
			}
			state.hasBranches = slices.ContainsFunc(event.Updates, makesBranch)
		}
	}
	return nil
}

func makesBranch(u git.RefUpdate) bool {
	return !u.IsDelete() && strings.HasPrefix(u.Name, "refs/heads/")
}

// repositoryState is what is known of a repository besides its refs.
type repositoryState struct {
	head        string // full name of the default branch
	hasBranches bool
}

// view is the part of the refs that the claims of a batch depend on.
type view struct {
	states map[domain.RepositoryID]*repositoryState // of those that exist
	refs   map[refKey]git.ObjectID                  // named by a claim, or in the way of one
	below  map[refKey]map[string]bool               // existing refs below a folder that a claim wants as a name
}

func (v *view) set(key refKey, id git.ObjectID) {
	v.refs[key] = id
	for folder := range git.Folders(key.name) {
		folder := refKey{key.repository, folder}
		if v.below[folder] == nil {
			v.below[folder] = map[string]bool{}
		}
		if id.IsZero() {
			delete(v.below[folder], key.name)
		} else {
			v.below[folder][key.name] = true
		}
	}
}

// inTheWay yields existing refs that are folders of name or lie below it.
func (v *view) inTheWay(id domain.RepositoryID, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for folder := range git.Folders(name) {
			if !v.refs[refKey{id, folder}].IsZero() && !yield(folder) {
				return
			}
		}
		for other := range v.below[refKey{id, name}] {
			if !yield(other) {
				return
			}
		}
	}
}

// load reads, for all claims at once, the refs they name, the refs that are folders
// of those they create, and the refs below those.
func load(ctx context.Context, tx pgx.Tx, claims []*eventstore.Claim) (*view, error) {
	v := &view{states: map[domain.RepositoryID]*repositoryState{}, refs: map[refKey]git.ObjectID{}, below: map[refKey]map[string]bool{}}
	var ids []int64
	wanted, made, deletes := map[refKey]bool{}, map[refKey]bool{}, 0
	for _, claim := range claims {
		id, _ := repositoryOf(claim.Stream)
		ids = append(ids, int64(id))
		push, _ := claim.Command.(repository.PushRefs)
		for _, u := range push.Updates {
			wanted[refKey{id, u.Name}] = true
			if u.IsDelete() {
				deletes++
			}
			if u.IsCreate() {
				made[refKey{id, u.Name}] = true
				for folder := range git.Folders(u.Name) {
					wanted[refKey{id, folder}] = true
				}
			}
		}
	}
	flight := &pgx.Batch{}
	flight.Queue(`
		select s.repository, s.head,
			-- The default branch answers it almost always; deleted branches keep their
			-- rows, and to look for one that lives may take long.
			case when exists (select from refs r
				where r.repository = s.repository and r.name = s.head collate "C"
					and r.id <> '\x0000000000000000000000000000000000000000') then true
			else exists (select from refs r
				where r.repository = s.repository and r.name >= 'refs/heads/' and r.name < 'refs/heads0'
					and r.id <> '\x0000000000000000000000000000000000000000') end
		from repository_state s where s.repository = any($1) and not s.deleted`, ids,
	).Query(func(rows pgx.Rows) error {
		var id domain.RepositoryID
		var state repositoryState
		_, err := pgx.ForEachRow(rows, []any{&id, &state.head, &state.hasBranches}, func() error {
			known := state
			v.states[id] = &known
			return nil
		})
		return err
	})
	take := func(rows pgx.Rows) error {
		var key refKey
		var id []byte
		_, err := pgx.ForEachRow(rows, []any{&key.repository, &key.name, &id}, func() error {
			v.set(key, git.ObjectID(id))
			return nil
		})
		return err
	}
	repositories, names := columns(wanted)
	flight.Queue(`
		select r.repository, r.name, r.id
		from unnest($1::bigint[], $2::text[]) as w (repository, name)
		join refs r on r.repository = w.repository and r.name = w.name collate "C"`,
		repositories, names).Query(take)
	// "0" follows "/" in byte order: the range is all names below name + "/". One row
	// that stays is enough to refuse, so it takes one more than this batch deletes.
	repositories, names = columns(made)
	flight.Queue(`
		select r.repository, r.name, r.id
		from unnest($1::bigint[], $2::text[]) as w (repository, name)
		cross join lateral (
			select repository, name, id from refs
			where repository = w.repository
				and name > (w.name || '/') collate "C" and name < (w.name || '0') collate "C"
				and id <> '\x0000000000000000000000000000000000000000'
			limit $3) r`,
		repositories, names, deletes+1).Query(take)
	if err := tx.SendBatch(ctx, flight).Close(); err != nil {
		return nil, fmt.Errorf("read refs for a push: %w", err)
	}
	return v, nil
}

func columns(keys map[refKey]bool) (repositories []int64, names []string) {
	for key := range keys {
		repositories, names = append(repositories, int64(key.repository)), append(names, key.name)
	}
	return repositories, names
}
