package effective

import (
	"cmp"
	"maps"
	"slices"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// Kind is by what somebody has a permission.
type Kind string

// The kinds.
const (
	Direct  Kind = "GRANT"   // granted to the user himself
	ByGroup Kind = "GROUP"   // granted to a group that he is in
	Default Kind = "DEFAULT" // granted to everybody who may log in
	Public  Kind = "PUBLIC"  // anybody may read it
)

// Reason is one thing that gives a user a permission.
type Reason struct {
	Kind       Kind
	Permission access.Permission // as it was granted; for Public, REPO_READ
	access.Target
	// Path leads from a group that the user is directly in to the one that was granted the
	// permission, for ByGroup.
	Path []domain.GroupID
}

// Access is what a user may do with a repository, and why.
type Access struct {
	User       domain.UserID
	Active     bool              // neither deactivated nor erased
	MayLogIn   bool              // active, and holds a global permission if he needs one
	Permission access.Permission // the strongest on the repository; "" for none
	// Reasons are all that he holds there, the strongest first, whether or not he may use it.
	Reasons []Reason
}

// Groups is the groups that a user is in, each with a way to it from one that he is directly
// in, the shortest there is.
func (s *State) Groups(id domain.UserID) map[domain.GroupID][]domain.GroupID {
	return s.groupsOf(id, s.parents())
}

// parents is in which groups each group directly is, in order.
func (s *State) parents() map[domain.GroupID][]domain.GroupID {
	parents := map[domain.GroupID][]domain.GroupID{}
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		for child := range s.groups[id].groups {
			if s.groups[child] != nil {
				parents[child] = append(parents[child], id)
			}
		}
	}
	return parents
}

func (s *State) groupsOf(id domain.UserID, parents map[domain.GroupID][]domain.GroupID) map[domain.GroupID][]domain.GroupID {
	paths := map[domain.GroupID][]domain.GroupID{}
	if s.user(id).erased {
		return paths
	}
	var next []domain.GroupID
	for _, g := range slices.Sorted(maps.Keys(s.groups)) {
		if s.groups[g].users[id] {
			paths[g], next = []domain.GroupID{g}, append(next, g)
		}
	}
	for len(next) > 0 {
		g := next[0]
		next = next[1:]
		for _, parent := range parents[g] {
			if paths[parent] == nil {
				paths[parent], next = append(slices.Clone(paths[g]), parent), append(next, parent)
			}
		}
	}
	return paths
}

// Held is what a user holds on the installation, on a project and on a repository, of which
// either may be 0: what access.Reader.Held in package projections/access finds now. It is in
// no order.
func (s *State) Held(id domain.UserID, project domain.ProjectID, repository domain.RepositoryID) []access.Permission {
	if s.users[id] == nil || s.users[id].inactive {
		return nil
	}
	var held []access.Permission
	for _, reason := range s.reasons(id, targets(project, repository), s.parents()) {
		held = append(held, reason.Permission)
	}
	return held
}

func targets(project domain.ProjectID, repository domain.RepositoryID) []access.Target {
	list := []access.Target{{}}
	if project != 0 {
		list = append(list, access.Target{Project: project})
	}
	if repository != 0 {
		list = append(list, access.Target{Repository: repository})
	}
	return list
}

// reasons is what a user holds on some targets, the whole installation among them.
func (s *State) reasons(id domain.UserID, on []access.Target, parents map[domain.GroupID][]domain.GroupID) []Reason {
	var found []Reason
	paths := s.groupsOf(id, parents)
	licensed := false
	for _, target := range on {
		if p := s.grants[grant{access.Holder{User: id}, target}]; p != "" {
			found = append(found, Reason{Kind: Direct, Permission: p, Target: target})
		}
		for _, g := range slices.Sorted(maps.Keys(paths)) {
			if p := s.grants[grant{access.Holder{Group: g}, target}]; p != "" {
				found = append(found, Reason{Kind: ByGroup, Permission: p, Target: target, Path: paths[g]})
			}
		}
		if target.Level() == access.Global {
			licensed = len(found) > 0
		} else if p := s.grants[grant{target: target}]; p != "" && licensed {
			found = append(found, Reason{Kind: Default, Permission: p, Target: target})
		}
	}
	return found
}

// Explain says what a user may do with a repository, and why. For a repository that did not
// exist it is nothing.
func (s *State) Explain(id domain.UserID, repository domain.RepositoryID) Access {
	return s.explain(id, repository, s.parents())
}

func (s *State) explain(id domain.UserID, repository domain.RepositoryID, parents map[domain.GroupID][]domain.GroupID) Access {
	a := Access{User: id}
	u := s.users[id]
	project, exists := s.Project(repository)
	if u == nil {
		return a
	}
	a.Active = !u.inactive
	all := s.reasons(id, targets(project, repository), parents)
	a.MayLogIn = a.Active && (u.needless || slices.ContainsFunc(all, func(r Reason) bool { return r.Permission.Level() == access.Global }))
	if !exists {
		return a
	}
	if s.public(repository) {
		all = append(all, Reason{Kind: Public, Permission: access.RepoRead, Target: access.Target{Repository: repository}})
	}
	for _, reason := range all {
		if onRepository(reason.Permission) != "" {
			a.Reasons = append(a.Reasons, reason)
		}
	}
	slices.SortStableFunc(a.Reasons, func(x, y Reason) int {
		return cmp.Compare(onRepository(y.Permission).Rank(), onRepository(x.Permission).Rank())
	})
	if a.MayLogIn && len(a.Reasons) > 0 {
		a.Permission = onRepository(a.Reasons[0].Permission)
	}
	return a
}

// onRepository is the strongest permission on a repository that one implies.
func onRepository(p access.Permission) access.Permission {
	for _, q := range slices.Backward(access.OnRepository) {
		if p.Implies(q) {
			return q
		}
	}
	return ""
}

// public reports whether anybody might read a repository.
func (s *State) public(id domain.RepositoryID) bool {
	r := s.repositories[id]
	return r.public || s.projects[r.project].public
}

// Public reports whether anybody might read a repository, without logging in.
func (s *State) Public(id domain.RepositoryID) bool {
	_, exists := s.Project(id)
	return exists && s.public(id)
}

// Holders lists who might do something with a repository by more than that anybody may read
// it, the strongest permission first, then by number.
func (s *State) Holders(repository domain.RepositoryID) []Access {
	parents := s.parents()
	var list []Access
	for _, id := range slices.Sorted(maps.Keys(s.users)) {
		a := s.explain(id, repository, parents)
		a.Reasons = slices.DeleteFunc(a.Reasons, func(r Reason) bool { return r.Kind == Public })
		if a.Permission != "" && len(a.Reasons) > 0 {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(x, y Access) int { return cmp.Compare(y.Permission.Rank(), x.Permission.Rank()) })
	return list
}
