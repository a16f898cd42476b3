package effective

import (
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
)

// State is who may do what, as the events so far have made it.
type State struct {
	users        map[domain.UserID]*user
	groups       map[domain.GroupID]*members
	grants       map[grant]access.Permission
	projects     map[domain.ProjectID]place
	repositories map[domain.RepositoryID]place
}

type user struct {
	inactive bool
	erased   bool
	needless bool // needs no global permission to log in: a key or token, not a person
}

type members struct {
	name   string
	users  map[domain.UserID]bool
	groups map[domain.GroupID]bool
}

// grant is to whom something is granted, and on what.
type grant struct {
	holder access.Holder
	target access.Target
}

// place is a project or a repository.
type place struct {
	project domain.ProjectID // of a repository
	public  bool
	deleted bool
}

// New is the state before the first event.
func New() *State {
	return &State{
		users: map[domain.UserID]*user{}, groups: map[domain.GroupID]*members{}, grants: map[grant]access.Permission{},
		projects: map[domain.ProjectID]place{}, repositories: map[domain.RepositoryID]place{},
	}
}

// Apply lets an event take effect. Those that move no right are passed over.
func (s *State) Apply(event domain.Event) {
	s.applyPeople(event)
	s.applyGrant(event)
	s.applyPlace(event)
}

func (s *State) applyPeople(event domain.Event) {
	switch e := event.(type) {
	case account.Created:
		s.users[e.ID] = &user{needless: e.Type != account.Normal && e.Type != account.Service}
	case account.Activated:
		s.user(e.ID).inactive = false
	case account.Deactivated:
		s.user(e.ID).inactive = true
	case account.Erased:
		u := s.user(e.ID)
		u.inactive, u.erased = true, true
	case group.Created:
		s.groups[e.ID] = &members{name: e.Name, users: map[domain.UserID]bool{}, groups: map[domain.GroupID]bool{}}
	case group.Renamed:
		s.group(e.ID).name = e.Name
	case group.MembersAdded:
		g := s.group(e.ID)
		for _, id := range e.Users {
			g.users[id] = true
		}
		for _, id := range e.Groups {
			g.groups[id] = true
		}
	case group.MembersRemoved:
		g := s.group(e.ID)
		for _, id := range e.Users {
			delete(g.users, id)
		}
		for _, id := range e.Groups {
			delete(g.groups, id)
		}
	case group.Deleted:
		delete(s.groups, e.ID)
	}
}

func (s *State) applyGrant(event domain.Event) {
	switch e := event.(type) {
	case access.Granted:
		s.grants[grant{access.Holder{User: e.User}, e.Target}] = e.Permission
	case access.Revoked:
		delete(s.grants, grant{access.Holder{User: e.User}, e.Target})
	case access.GroupGranted:
		s.grants[grant{access.Holder{Group: e.Group}, e.Target}] = e.Permission
	case access.GroupRevoked:
		delete(s.grants, grant{access.Holder{Group: e.Group}, e.Target})
	case access.DefaultChanged:
		everybody := grant{target: access.Target{Project: e.Project}}
		if s.grants[everybody] = e.Permission; e.Permission == "" {
			delete(s.grants, everybody)
		}
	}
}

func (s *State) applyPlace(event domain.Event) {
	switch e := event.(type) {
	case project.Created:
		s.projects[e.ID] = place{public: e.Public}
	case project.Updated:
		s.projects[e.ID] = place{public: e.Public}
	case project.Deleted:
		s.projects[e.ID] = place{deleted: true}
	case repository.Created:
		s.repositories[e.ID] = place{project: e.Project, public: e.Public}
	case repository.SettingsChanged:
		r := s.repositories[e.ID]
		r.public = e.Public
		s.repositories[e.ID] = r
	case repository.Moved:
		r := s.repositories[e.ID]
		r.project = e.Project
		s.repositories[e.ID] = r
	case repository.Deleted:
		r := s.repositories[e.ID]
		r.deleted = true
		s.repositories[e.ID] = r
	case repository.Restored:
		r := s.repositories[e.ID]
		r.project, r.deleted = e.Project, false
		s.repositories[e.ID] = r
	}
}

// user and group are never nil: a log that is read in part may name some that it does not make.

func (s *State) user(id domain.UserID) *user {
	if s.users[id] == nil {
		return &user{}
	}
	return s.users[id]
}

func (s *State) group(id domain.GroupID) *members {
	if s.groups[id] == nil {
		return &members{users: map[domain.UserID]bool{}, groups: map[domain.GroupID]bool{}}
	}
	return s.groups[id]
}

// GroupName is what a group was called, "" if there was none by that number.
func (s *State) GroupName(id domain.GroupID) string { return s.group(id).name }

// Project is the project that a repository was in. ok is false if there was no such
// repository, or it had been deleted.
func (s *State) Project(id domain.RepositoryID) (project domain.ProjectID, ok bool) {
	r, known := s.repositories[id]
	return r.project, known && !r.deleted
}
