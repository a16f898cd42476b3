package audit

import (
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/group"
)

// members is a group: who is in it, and what it has been granted. Who has left excuses
// events for the grace, as a permission that was taken away does.
type members struct {
	users     map[domain.UserID]membership
	groups    map[domain.GroupID]membership
	deletedAt int64 // 0: it was not
	holdings
}

type membership struct {
	leftAt int64 // 0: still in
}

func (m membership) counts(moment int64) bool {
	return m.leftAt == 0 || moment-m.leftAt <= grace.Microseconds()
}

// applyGroup lets an event about groups or defaults take effect, if it is one.
func (r *rights) applyGroup(p *parsed) bool {
	switch e := p.event.(type) {
	case group.Created:
		r.groups[e.ID] = &members{users: map[domain.UserID]membership{}, groups: map[domain.GroupID]membership{}, holdings: newHoldings()}
	case group.MembersAdded:
		r.move(e.ID, e.Members, membership{})
	case group.MembersRemoved:
		r.move(e.ID, e.Members, membership{leftAt: p.moment})
		r.groupsLostAt = p.moment
	case group.Deleted:
		r.group(e.ID).deletedAt = p.moment
		r.groupsLostAt = p.moment
	case access.GroupGranted:
		r.group(e.Group).grant(e.Target, e.Permission, p.moment)
		if e.Old != "" {
			r.groupsLostAt = p.moment
		}
	case access.GroupRevoked:
		r.group(e.Group).grant(e.Target, "", p.moment)
		r.groupsLostAt = p.moment
	case access.DefaultChanged:
		r.defaults[e.Project] = r.defaults[e.Project].then(e.Permission, p.moment)
		r.groupsLostAt = p.moment
	default:
		return false
	}
	return true
}

// group is never nil: a log may name one that it does not make.
func (r *rights) group(id domain.GroupID) *members {
	if r.groups[id] == nil {
		return &members{users: map[domain.UserID]membership{}, groups: map[domain.GroupID]membership{}, holdings: newHoldings()}
	}
	return r.groups[id]
}

func (r *rights) move(id domain.GroupID, m group.Members, to membership) {
	g := r.group(id)
	for _, u := range m.Users {
		g.users[u] = to
	}
	for _, child := range m.Groups {
		g.groups[child] = to
	}
}

// groupsAllow reports whether one of the actor's groups, or a project's default, lets him do
// what needs a permission.
func (r *rights) groupsAllow(p *parsed, u *user, need access.Permission, onProject domain.ProjectID, onRepository domain.RepositoryID) bool {
	licensed := u.global.allows(access.LicensedUser, p.moment)
	for _, g := range r.groupsOf(p.who.Actor, p.moment) {
		if g.allows(need, onProject, onRepository, p.moment) {
			return true
		}
		licensed = licensed || g.global.allows(access.LicensedUser, p.moment)
	}
	return licensed && r.defaults[onProject].allows(need, p.moment)
}

// groupsOf finds the groups that a user is in, directly or by way of others.
func (r *rights) groupsOf(id domain.UserID, moment int64) []*members {
	in := map[domain.GroupID]bool{}
	alive := func(g *members) bool { return g.deletedAt == 0 || moment-g.deletedAt <= grace.Microseconds() }
	for number, g := range r.groups {
		if m, member := g.users[id]; member && m.counts(moment) && alive(g) {
			in[number] = true
		}
	}
	for grown := len(in) > 0; grown; {
		grown = false
		for number, g := range r.groups {
			for child, m := range g.groups {
				if in[child] && !in[number] && m.counts(moment) && alive(g) {
					in[number], grown = true, true
				}
			}
		}
	}
	var found []*members
	for number := range in {
		found = append(found, r.groups[number])
	}
	return found
}
