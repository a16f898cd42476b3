package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/ratelimit"
	"github.com/annal-git/annal/domain/repository"
)

// grace is for how long a right that was taken away still excuses an event: a push is
// judged when it begins, and may take long to arrive.
const grace = time.Hour

// rights is the fold of users, groups, tokens, applications and grants: who could do what at a position.
type rights struct {
	users        map[domain.UserID]*user
	groups       map[domain.GroupID]*members
	defaults     map[domain.ProjectID]held
	tokens       map[account.TokenID]*token
	grants       map[account.GrantID]*token // to applications
	repositories map[domain.RepositoryID]domain.ProjectID
	judged       map[judgement]error // since the last change of any right
	command      command
	groupsLostAt int64 // when a group, or everybody, last lost something
}

type judgement struct {
	actor      domain.UserID
	repository domain.RepositoryID
}

// held is a permission, and the one lost before it.
type held struct {
	permission access.Permission
	lost       access.Permission
	lostAt     int64 // microseconds since 1970
}

func (h held) allows(need access.Permission, moment int64) bool {
	return h.permission.Implies(need) || (h.lost.Implies(need) && moment-h.lostAt <= grace.Microseconds())
}

type user struct {
	inactive   bool
	inactiveAt int64
	holds      bool          // an access key or a token of a project or repository, and is nobody
	maker      domain.UserID // of one who holds
	holdings
}

// holdings is what a user or a group has been granted.
type holdings struct {
	global   held
	projects map[domain.ProjectID]held
	onOne    map[domain.RepositoryID]held
}

func newHoldings() holdings {
	return holdings{projects: map[domain.ProjectID]held{}, onOne: map[domain.RepositoryID]held{}}
}

func newUser() *user { return &user{holdings: newHoldings()} }

func (h holdings) allows(need access.Permission, onProject domain.ProjectID, onRepository domain.RepositoryID, moment int64) bool {
	return h.global.allows(need, moment) || h.projects[onProject].allows(need, moment) || h.onOne[onRepository].allows(need, moment)
}

type token struct {
	user      domain.UserID
	scopes    []access.Permission
	expires   int64                // 0: never
	revokedAt int64                // 0: it was not
	client    domain.OAuthClientID // of what an application was let do
}

// command is what the events of one command have in common.
type command struct {
	id      [16]byte
	pushed  bool
	project domain.ProjectID // that it made
	user    domain.UserID    // that it made
}

func newRights() *rights {
	return &rights{
		users: map[domain.UserID]*user{}, tokens: map[account.TokenID]*token{}, grants: map[account.GrantID]*token{},
		groups: map[domain.GroupID]*members{}, defaults: map[domain.ProjectID]held{},
		repositories: map[domain.RepositoryID]domain.ProjectID{}, judged: map[judgement]error{},
	}
}

// add judges an event and then lets it take effect.
func (r *rights) add(f *findings, position int64, p *parsed) {
	if p.id != r.command.id {
		r.command = command{id: p.id}
	}
	if err := r.judge(p); err != nil {
		f.order(Rights, position, "event %d: %s", position, err)
	}
	r.apply(p)
}

// judge says what speaks against an event.
func (r *rights) judge(p *parsed) error {
	if p.who.Actor == 0 {
		return r.judgeNobody(p)
	}
	u := r.users[p.who.Actor]
	if u == nil {
		return fmt.Errorf("user %d acted, but there was no such user", p.who.Actor)
	}
	if u.inactive && p.moment-u.inactiveAt > grace.Microseconds() {
		return fmt.Errorf("user %d acted, but was not active", p.who.Actor)
	}
	scopes, limited, err := r.judgeToken(p)
	if err != nil {
		return err
	}
	if _, ok := p.event.(repository.RefsUpdated); ok {
		id, _ := repositoryOf(p.stream)
		if limited && !allow(scopes, access.RepoWrite) {
			return fmt.Errorf("user %d pushed with a token that does not let him", p.who.Actor)
		}
		key := judgement{p.who.Actor, id}
		err, known := r.judged[key]
		if !known {
			err = r.need(p, u, access.RepoWrite, r.repositories[id], id)
			if !r.recentlyLost(u, p.moment) {
				r.judged[key] = err
			}
		}
		return err
	}
	return r.judgeAct(p, u)
}

func allow(scopes []access.Permission, need access.Permission) bool {
	for _, s := range scopes {
		if s.Implies(need) {
			return true
		}
	}
	return false
}

// recentlyLost reports whether a judgement may be another one soon, although no right
// changes.
func (r *rights) recentlyLost(u *user, moment int64) bool {
	return moment-r.groupsLostAt <= grace.Microseconds() || u.recentlyLost(moment)
}

func (h holdings) recentlyLost(moment int64) bool {
	recent := func(h held) bool { return h.lost != "" && moment-h.lostAt <= grace.Microseconds() }
	if recent(h.global) {
		return true
	}
	for _, p := range h.projects {
		if recent(p) {
			return true
		}
	}
	for _, p := range h.onOne {
		if recent(p) {
			return true
		}
	}
	return false
}

// judgeNobody judges what the system itself, an operator at the command line or the first
// set-up has done.
func (r *rights) judgeNobody(p *parsed) error {
	switch e := p.event.(type) {
	case account.Created:
		if e.SetUp && string(p.who.Auth) == "setup" || byProvider(p) {
			return nil
		}
	case account.IdentityLinked:
		if byProvider(p) && r.command.user == e.User {
			return nil
		}
	case account.ApplicationRevoked:
		if byApplication(p) {
			return nil
		}
	case account.PasswordSet:
		if r.command.user == e.ID {
			return nil
		}
	case access.Granted:
		if r.command.user == e.User {
			return nil
		}
	case repository.RefsUpdated:
		if e.Restores() { // by an operator at the command line
			return nil
		}
	case repository.DefaultBranchChanged:
		if string(p.who.Auth) == "system" {
			return nil
		}
	case cluster.Created, cluster.SigningKeyChanged, cluster.EpochStarted, account.Erased, domain.Unknown,
		repository.PacksCombined, repository.PacksRemoved: // maintenance moves no ref
		return nil
	default:
		if string(p.stream) == string(domain.ClusterStream) {
			return nil
		}
	}
	return fmt.Errorf("nobody is named who caused it, which an event of type %s needs", p.kind)
}

func (r *rights) judgeToken(p *parsed) (scopes []access.Permission, limited bool, err error) {
	if number, ok := strings.CutPrefix(string(p.who.Auth), "oauth:"); ok {
		scopes, err := r.judgeApplication(p, number)
		return scopes, true, err
	}
	number, ok := strings.CutPrefix(string(p.who.Auth), "token:")
	if !ok {
		return nil, false, nil
	}
	id, err := strconv.ParseInt(number, 10, 64)
	t := r.tokens[account.TokenID(id)]
	switch {
	case err != nil || t == nil || t.user != p.who.Actor:
		return nil, true, fmt.Errorf("user %d acted with the token %.20s, which was not his", p.who.Actor, number)
	case t.revokedAt != 0 && p.moment-t.revokedAt > grace.Microseconds():
		return nil, true, fmt.Errorf("user %d acted with the token %d, which had been revoked", p.who.Actor, id)
	case t.expires != 0 && p.moment-t.expires > grace.Microseconds():
		return nil, true, fmt.Errorf("user %d acted with the token %d, which had expired", p.who.Actor, id)
	}
	return t.scopes, true, nil
}

// judgeAct judges what is no push by the permission that REST asks for it.
func (r *rights) judgeAct(p *parsed, u *user) error {
	if id, ok := onHolder(r, p); ok {
		return r.judgeOnHolder(p, u, id)
	}
	if id, ok := ownAct(p); ok {
		if id == p.who.Actor || r.command.user == id {
			return nil
		}
		return r.need(p, u, access.Admin, 0, 0)
	}
	onRepository := func(need access.Permission) error {
		id, _ := repositoryOf(p.stream)
		return r.need(p, u, need, r.repositories[id], id)
	}
	switch e := p.event.(type) {
	case project.Created:
		return r.need(p, u, access.ProjectCreate, 0, 0)
	case project.Updated:
		return r.need(p, u, access.ProjectAdmin, e.ID, 0)
	case project.Deleted:
		return r.need(p, u, access.ProjectAdmin, e.ID, 0)
	case repository.Created:
		return r.need(p, u, access.ProjectAdmin, e.Project, 0)
	case repository.Forked:
		id, _ := repositoryOf(p.stream)
		return r.need(p, u, access.ProjectAdmin, r.repositories[id], 0)
	case repository.DefaultBranchChanged:
		if r.command.pushed {
			return onRepository(access.RepoWrite)
		}
		return onRepository(access.RepoAdmin)
	case repository.Renamed, repository.Moved, repository.SettingsChanged, repository.Deleted:
		return onRepository(access.RepoAdmin)
	case repository.Restored:
		return r.need(p, u, access.Admin, 0, 0)
	case lfs.ObjectAdded:
		return r.need(p, u, access.RepoWrite, r.repositories[e.Repository], e.Repository)
	case lfs.Locked:
		return r.need(p, u, access.RepoWrite, r.repositories[e.Repository], e.Repository)
	case lfs.Unlocked:
		if e.Forced {
			return r.need(p, u, access.RepoAdmin, r.repositories[e.Repository], e.Repository)
		}
		return r.need(p, u, access.RepoWrite, r.repositories[e.Repository], e.Repository)
	case lfs.SettingsChanged:
		if e.Old.Quota != e.Settings.Quota {
			return r.need(p, u, access.SysAdmin, 0, 0)
		}
		return onRepository(access.RepoAdmin)
	case access.Granted:
		if e.Target.Project != 0 && e.Target.Project == r.command.project || e.User == r.command.user && r.command.user != 0 {
			return nil
		}
		return r.needToGrant(p, u, e.Target)
	case access.Revoked:
		return r.needToGrant(p, u, e.Target)
	case access.GroupGranted:
		return r.needToGrant(p, u, e.Target)
	case access.GroupRevoked:
		return r.needToGrant(p, u, e.Target)
	case access.DefaultChanged:
		return r.needToGrant(p, u, access.Target{Project: e.Project})
	case group.Created, group.Renamed, group.MembersAdded, group.MembersRemoved, group.Deleted,
		ratelimit.SettingsChanged, ratelimit.UsersSet, ratelimit.UserReset:
		return r.need(p, u, access.Admin, 0, 0)
	case account.Created, account.Activated, account.Deactivated, account.Erased:
		return r.need(p, u, access.Admin, 0, 0)
	case oauth.ClientCreated, oauth.ClientChanged, oauth.ClientSecretChanged, oauth.ClientDeleted:
		return r.need(p, u, access.SysAdmin, 0, 0)
	}
	return nil // existence and activity is all that can be said
}

func (r *rights) needToGrant(p *parsed, u *user, t access.Target) error {
	switch t.Level() {
	case access.Repository:
		return r.need(p, u, access.RepoAdmin, r.repositories[t.Repository], t.Repository)
	case access.Project:
		return r.need(p, u, access.ProjectAdmin, t.Project, 0)
	default:
		return r.need(p, u, access.Admin, 0, 0)
	}
}

func (r *rights) need(p *parsed, u *user, need access.Permission, onProject domain.ProjectID, onRepository domain.RepositoryID) error {
	if u.allows(need, onProject, onRepository, p.moment) || r.groupsAllow(p, u, need, onProject, onRepository) {
		return nil
	}
	return fmt.Errorf("user %d caused it without the permission %s", p.who.Actor, need)
}

// apply lets an event take effect.
func (r *rights) apply(p *parsed) {
	switch e := p.event.(type) {
	case repository.RefsUpdated:
		r.command.pushed = true
		return
	case account.Created:
		r.users[e.ID] = newUser()
		r.users[e.ID].holds, r.users[e.ID].maker = e.Type.Holds(), p.who.Actor
		r.command.user = e.ID
	case account.Activated:
		r.user(e.ID).inactive = false
	case account.Deactivated:
		u := r.user(e.ID)
		u.inactive, u.inactiveAt = true, p.moment
	case account.TokenCreated:
		t := &token{user: e.User, scopes: e.Permissions}
		if e.Expires != nil {
			t.expires = e.Expires.UnixMicro()
		}
		r.tokens[e.ID] = t
	case account.TokenChanged:
		if t := r.tokens[e.ID]; t != nil {
			t.scopes = e.Permissions
		}
	case account.TokenRevoked:
		if t := r.tokens[e.ID]; t != nil {
			t.revokedAt = p.moment
		}
	case project.Created:
		r.command.project = e.ID
	case repository.Created:
		r.repositories[e.ID] = e.Project
	case repository.Moved:
		r.repositories[e.ID] = e.Project
	case repository.Restored:
		r.repositories[e.ID] = e.Project
	case access.Granted:
		r.user(e.User).grant(e.Target, e.Permission, p.moment)
	case access.Revoked:
		r.user(e.User).grant(e.Target, "", p.moment)
	default:
		if !r.applyGroup(p) && !r.applyApplication(p) {
			return
		}
	}
	clear(r.judged)
}

func (r *rights) user(id domain.UserID) *user {
	u := r.users[id]
	if u == nil {
		u = newUser()
	}
	return u
}

func (h *holdings) grant(t access.Target, permission access.Permission, moment int64) {
	switch t.Level() {
	case access.Repository:
		h.onOne[t.Repository] = h.onOne[t.Repository].then(permission, moment)
	case access.Project:
		h.projects[t.Project] = h.projects[t.Project].then(permission, moment)
	default:
		h.global = h.global.then(permission, moment)
	}
}

// then is what is held after another permission has taken its place.
func (h held) then(permission access.Permission, moment int64) held {
	if h.permission != "" && !permission.Implies(h.permission) {
		h.lost, h.lostAt = h.permission, moment
	}
	h.permission = permission
	return h
}

// repositoryOf reads the repository's id from its stream's name.
func repositoryOf(stream []byte) (domain.RepositoryID, bool) {
	const prefix = "repository/"
	if len(stream) <= len(prefix) || string(stream[:len(prefix)]) != prefix {
		return 0, false
	}
	id, err := strconv.ParseInt(string(stream[len(prefix):]), 10, 64)
	return domain.RepositoryID(id), err == nil
}
