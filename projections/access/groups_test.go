package access_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/effective"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

func (w world) group(id domain.GroupID, name string, m group.Members) {
	w.t.Helper()
	w.must(domain.GroupStream(id), group.Created{ID: id, Name: name}, group.MembersAdded{ID: id, Members: m})
}

func users(ids ...domain.UserID) group.Members   { return group.Members{Users: ids} }
func groups(ids ...domain.GroupID) group.Members { return group.Members{Groups: ids} }

func TestGroups(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("user/1", user(1, "ada"), granted(1, rights.LicensedUser, rights.Target{}))
	w.must("user/2", user(2, "bob"))
	w.group(10, "Inner", users(1, 2))
	w.group(11, "Outer", groups(10))
	w.group(12, "Outermost", groups(11))
	in := func(user domain.UserID, want ...domain.GroupID) {
		t.Helper()
		if got, err := w.Groups(ctx, user); err != nil || !slices.Equal(got, want) {
			t.Errorf("user %d is in %v, %v, want %v", user, got, err, want)
		}
	}
	in(1, 10, 11, 12)
	const circle = "A group cannot be in a group that is in it, directly or by way of others."
	conflict(t, w.append("group/10", group.MembersAdded{ID: 10, Members: groups(12)}), circle)
	conflict(t, w.append("group/13", group.Created{ID: 13, Name: "INNER"}), "This group name is already in use.")
	conflict(t, w.append("group/10", group.MembersAdded{ID: 10, Members: groups(99)}), "The group does not exist.")
	conflict(t, w.append("group/10", group.MembersAdded{ID: 10, Members: users(99)}), "The user does not exist.")

	// Two ways lead into the outermost: it takes both to be closed.
	w.must("group/12", group.MembersAdded{ID: 12, Members: users(1)})
	w.must("group/11", group.MembersRemoved{ID: 11, Members: groups(10)})
	in(1, 10, 12)
	in(2, 10)
	w.must("group/12", group.MembersRemoved{ID: 12, Members: users(1)})
	in(1, 10)
	w.must("group/11", group.MembersAdded{ID: 11, Members: groups(10)})
	in(2, 10, 11, 12)
	w.must("group/11", group.Deleted{ID: 11, Name: "Outer"})
	in(2, 10)
	w.must("group/14", group.Created{ID: 14, Name: "outer"}) // the name is free

	if g, err := w.GroupByName(ctx, "inner"); err != nil || g.ID != 10 || g.Name != "Inner" {
		t.Errorf("%+v, %v", g, err)
	}
	_, err := w.GroupByName(ctx, "nothing")
	missing(t, err)
}

func TestHeldByGroup(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	for id := domain.UserID(1); id <= 4; id++ {
		w.must(domain.UserStream(id), user(id, fmt.Sprint("user", id)))
	}
	w.group(10, "inner", users(1))
	w.group(11, "outer", groups(10))
	w.group(12, "everybody", users(1, 2))
	w.must("group/12", rights.GroupGranted{Group: 12, Permission: rights.LicensedUser})
	w.must("project/7",
		rights.GroupGranted{Group: 11, Permission: rights.ProjectWrite, Target: rights.Target{Project: 7}},
		rights.DefaultChanged{Project: 8, Permission: rights.ProjectRead})
	w.must("repository/9", rights.GroupGranted{Group: 12, Permission: rights.RepoRead, Target: rights.Target{Repository: 9}})
	allow := func(user domain.UserID, project domain.ProjectID, repository domain.RepositoryID, need rights.Permission, want bool) {
		t.Helper()
		held, err := w.Held(ctx, user, project, repository)
		if err != nil || held.Allow(need) != want {
			t.Errorf("user %d holds %q on %d/%d, %v", user, held, project, repository, err)
		}
	}
	allow(1, 7, 9, rights.RepoWrite, true) // by a group in a group
	allow(1, 7, 0, rights.ProjectAdmin, false)
	allow(2, 7, 9, rights.RepoRead, true)
	allow(2, 7, 9, rights.RepoWrite, false)
	allow(2, 8, 0, rights.ProjectRead, true)  // by default
	allow(3, 8, 0, rights.ProjectRead, false) // who may not log in has nothing by default
	allow(3, 7, 9, rights.RepoRead, false)

	if login, err := w.LoginByName(ctx, "user2"); err != nil || !login.Licensed {
		t.Errorf("licensed by a group: %+v, %v", login, err)
	}
	if login, err := w.LoginByName(ctx, "user3"); err != nil || login.Licensed {
		t.Errorf("not licensed: %+v, %v", login, err)
	}
	if seats, err := w.Seats(ctx); err != nil || seats != 2 {
		t.Errorf("%d seats, %v", seats, err)
	}
	list, _, err := w.Users(ctx, access.UserFilter{Requirements: []access.Requirement{{Permission: rights.ProjectRead, Project: 7}}}, access.Page{Limit: 9})
	if err != nil || len(list) != 1 || list[0].ID != 1 {
		t.Errorf("users with a requirement by a group: %+v, %v", list, err)
	}
	w.must("user/1", account.Deactivated{ID: 1})
	allow(1, 7, 9, rights.RepoRead, false)
	w.must("group/12", group.Deleted{ID: 12, Name: "everybody"})
	allow(2, 8, 9, rights.RepoRead, false)
}

func TestAdministratorsByGroup(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("user/1", user(1, "root"), granted(1, rights.SysAdmin, rights.Target{}))
	w.must("user/2", user(2, "ada"))
	w.group(10, "inner", users(2))
	w.group(11, "administrators", groups(10))
	w.must("group/11", rights.GroupGranted{Group: 11, Permission: rights.SysAdmin})
	w.must("user/1", rights.Revoked{User: 1, Permission: rights.SysAdmin}) // ada is left
	if has, err := w.HasAdministrator(ctx); !has || err != nil {
		t.Errorf("%v, %v", has, err)
	}
	const last = "The last system administrator cannot be removed."
	for stream, event := range map[domain.Stream]domain.Event{
		"user/2":   account.Deactivated{ID: 2},
		"group/10": group.MembersRemoved{ID: 10, Members: users(2)},
		"group/11": group.MembersRemoved{ID: 11, Members: groups(10)},
	} {
		conflict(t, w.append(stream, event), last)
	}
	conflict(t, w.append("group/10", group.Deleted{ID: 10}), last)
	conflict(t, w.append("group/11", group.Deleted{ID: 11}), last)
	conflict(t, w.append("group/11", rights.GroupRevoked{Group: 11, Permission: rights.SysAdmin}), last)
	conflict(t, w.append("group/11", rights.GroupGranted{Group: 11, Permission: rights.Admin, Old: rights.SysAdmin}), last)
	conflict(t, eventstore.Erase(ctx, w.log, 2, domain.Metadata{}, nil), last)
}

// An erased user is in no group any more, now and after a rebuild.
func TestEraseMember(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("user/1", user(1, "root"), granted(1, rights.SysAdmin, rights.Target{}))
	w.must("user/2", user(2, "ada"))
	w.group(10, "inner", users(1, 2))
	w.group(11, "outer", groups(10))
	if err := eventstore.Erase(ctx, w.log, 2, domain.Metadata{}, nil); err != nil {
		t.Fatal(err)
	}
	// Changes around him do not bring him back.
	w.must("group/11", group.MembersRemoved{ID: 11, Members: groups(10)}, group.MembersAdded{ID: 11, Members: groups(10)})
	if in, err := w.Groups(ctx, 2); err != nil || len(in) != 0 {
		t.Errorf("in %v, %v", in, err)
	}
	events, err := w.log.ReadAll(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	rebuilt := eventstoretest.Database(t)
	if err := pgx.BeginFunc(ctx, rebuilt, func(tx pgx.Tx) error { return access.Projection{}.Apply(ctx, tx, events) }); err != nil {
		t.Fatal(err)
	}
	for _, table := range (access.Projection{}).Tables() {
		if live, anew := rowsOf(t, w.pool, table), rowsOf(t, rebuilt, table); !slices.Equal(live, anew) {
			t.Errorf("%s has\n%q\nand rebuilt\n%q", table, live, anew)
		}
	}
}

// Whatever is decided, the tables and the fold of the same events say the same of who is in
// which group and who holds what.
func TestTablesAgreeWithFold(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	rapid.Check(t, func(r *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		tx, err := pool.Begin(ctx)
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = tx.Rollback(ctx) }()
		m := &model{r: r, tx: tx, fold: effective.New(), groups: map[domain.GroupID]group.State{}, grants: map[domain.Stream]rights.State{}}
		for id := domain.UserID(1); id <= 4; id++ {
			m.apply(user(id, fmt.Sprint("user", id)))
		}
		for id := domain.GroupID(1); id <= 4; id++ {
			m.decideGroup(id, group.Create{ID: id, Name: fmt.Sprint("group", id)})
		}
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			m.step()
		}
		m.compare(ctx)
	})
}

type model struct {
	r      *rapid.T
	tx     pgx.Tx
	fold   *effective.State
	groups map[domain.GroupID]group.State
	grants map[domain.Stream]rights.State
}

func (m *model) number(name string, most int) int { return rapid.IntRange(1, most).Draw(m.r, name) }

func (m *model) step() {
	switch m.number("kind", 6) {
	case 1, 2:
		m.decideGroup(domain.GroupID(m.number("group", 4)), group.AddMembers(m.members()))
	case 3:
		m.decideGroup(domain.GroupID(m.number("group", 4)), group.RemoveMembers(m.members()))
	case 4, 5:
		m.grant()
	case 6:
		m.rare()
	}
}

func (m *model) rare() {
	id := domain.UserID(m.number("user", 4))
	switch m.number("rare", 4) {
	case 1:
		m.decideGroup(domain.GroupID(m.number("group", 4)), group.Delete{})
	case 2:
		m.apply(account.Deactivated{ID: id})
	case 3:
		m.apply(account.Activated{ID: id})
	case 4:
		m.decideGrant("project/7", rights.SetDefault{Project: 7, Permission: rapid.SampledFrom([]rights.Permission{"", rights.ProjectRead, rights.ProjectWrite}).Draw(m.r, "default")})
	}
}

func (m *model) members() group.Members {
	if rapid.Bool().Draw(m.r, "users") {
		return users(domain.UserID(m.number("user", 4)), domain.UserID(m.number("user", 4)))
	}
	return groups(domain.GroupID(m.number("member", 4)))
}

func (m *model) grant() {
	holder := rights.Holder{User: domain.UserID(m.number("user", 4))}
	if rapid.Bool().Draw(m.r, "to a group") {
		holder = rights.Holder{Group: domain.GroupID(m.number("group", 4))}
		if !m.groups[holder.Group].Exists() {
			return
		}
	}
	target := rapid.SampledFrom([]rights.Target{{}, {Project: 7}, {Project: 8}, {Repository: 9}}).Draw(m.r, "target")
	command := rights.Command(rights.Revoke{User: holder.User, Group: holder.Group, Target: target})
	if m.number("grant", 3) > 1 {
		of := map[rights.Level][]rights.Permission{
			rights.Global:  {rights.LicensedUser, rights.Admin, rights.SysAdmin},
			rights.Project: rights.OnProject, rights.Repository: rights.OnRepository,
		}[target.Level()]
		command = rights.Grant{User: holder.User, Group: holder.Group, Target: target, Permission: rapid.SampledFrom(of).Draw(m.r, "permission")}
	}
	m.decideGrant(target.StreamOf(holder), command)
}

func (m *model) decideGroup(id domain.GroupID, command group.Command) {
	events, err := group.Decide(m.groups[id], command)
	if err != nil {
		return
	}
	for _, event := range events {
		if m.apply(event) {
			m.groups[id] = group.Evolve(m.groups[id], event)
		}
	}
}

func (m *model) decideGrant(stream domain.Stream, command rights.Command) {
	events, err := rights.Decide(m.grants[stream], command)
	if err != nil {
		m.r.Fatal(err)
	}
	for _, event := range events {
		if m.apply(event) {
			m.grants[stream] = rights.Evolve(m.grants[stream], event)
		}
	}
}

// apply lets the projection judge an event, and folds it if it may be.
func (m *model) apply(event domain.Event) bool {
	ctx := context.Background()
	err := pgx.BeginFunc(ctx, m.tx, func(tx pgx.Tx) error {
		return access.Projection{}.Apply(ctx, tx, []domain.Recorded{{Position: 1, Event: event}})
	})
	if _, refused := errors.AsType[*domain.ConflictError](err); refused {
		return false
	}
	if err != nil {
		m.r.Fatal(err)
	}
	m.fold.Apply(event)
	return true
}

func (m *model) compare(ctx context.Context) {
	reader := access.NewReader(m.tx)
	for id := domain.UserID(1); id <= 4; id++ {
		in, err := reader.Groups(ctx, id)
		if want := slices.Sorted(maps.Keys(m.fold.Groups(id))); err != nil || !slices.Equal(in, want) {
			m.r.Fatalf("user %d is in %v, %v; the fold has %v", id, in, err, want)
		}
		for _, project := range []domain.ProjectID{0, 7, 8} {
			for _, repository := range []domain.RepositoryID{0, 9} {
				held, err := reader.Held(ctx, id, project, repository)
				want := access.Held(m.fold.Held(id, project, repository))
				slices.Sort(held)
				slices.Sort(want)
				if err != nil || !slices.Equal(held, want) {
					m.r.Fatalf("user %d holds %q on %d/%d, %v; the fold has %q", id, held, project, repository, err, want)
				}
			}
		}
	}
}
