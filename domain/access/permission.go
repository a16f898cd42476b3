package access

import (
	"strings"

	"github.com/annal-git/annal/domain"
)

// Permission is one of Bitbucket's, by its name there.
type Permission string

// The permissions, weakest first at each level.
const (
	LicensedUser  Permission = "LICENSED_USER" // may log in
	ProjectCreate Permission = "PROJECT_CREATE"
	Admin         Permission = "ADMIN" // everything but the system's own settings
	SysAdmin      Permission = "SYS_ADMIN"

	ProjectRead  Permission = "PROJECT_READ"
	ProjectWrite Permission = "PROJECT_WRITE"
	ProjectAdmin Permission = "PROJECT_ADMIN"

	RepoRead  Permission = "REPO_READ"
	RepoWrite Permission = "REPO_WRITE"
	RepoAdmin Permission = "REPO_ADMIN"
)

// Level is what a permission is granted on.
type Level string

// The levels, widest first.
const (
	Global     Level = "global"
	Project    Level = "project"
	Repository Level = "repository"
)

// ranks gives each permission its level and its strength there. A closed list: a
// name that is not here is no permission.
var ranks = map[Permission]struct {
	level Level
	rank  int
}{
	LicensedUser: {Global, 1}, ProjectCreate: {Global, 2}, Admin: {Global, 3}, SysAdmin: {Global, 4},
	ProjectRead: {Project, 1}, ProjectWrite: {Project, 2}, ProjectAdmin: {Project, 3},
	RepoRead: {Repository, 1}, RepoWrite: {Repository, 2}, RepoAdmin: {Repository, 3},
}

// ParsePermission reads a permission's name in any case. The error is a
// *domain.InvalidError for the field "permission".
func ParsePermission(name string) (Permission, error) {
	p := Permission(strings.ToUpper(name))
	if !p.Valid() {
		return "", domain.Invalid("permission", "%q is not a permission.", clip(name))
	}
	return p, nil
}

// Valid reports whether p is one of the permissions above.
func (p Permission) Valid() bool { return ranks[p].rank > 0 }

// Level is what p is granted on, "" if p is not valid.
func (p Permission) Level() Level { return ranks[p].level }

// Rank is p's strength among the permissions of its level: 1 is the weakest, 0 is
// no permission.
func (p Permission) Rank() int { return ranks[p].rank }

// Implies reports whether whoever holds p may do what needs q, where the project
// or repository of p is that of q or contains it. Global administrators may do
// everything below the system's settings; project permissions hold for the
// project's repositories; reading a repository does not imply reading its project.
func (p Permission) Implies(q Permission) bool {
	if !p.Valid() || !q.Valid() {
		return false
	}
	has, needs := ranks[p], ranks[q]
	switch {
	case has.level == needs.level:
		return has.rank >= needs.rank
	case has.level == Global:
		return has.rank >= ranks[Admin].rank
	case has.level == Project && needs.level == Repository:
		return has.rank >= needs.rank
	}
	return false
}

// OnProject and OnRepository are the permissions that a token may be limited to,
// weakest first.
var (
	OnProject    = []Permission{ProjectRead, ProjectWrite, ProjectAdmin}
	OnRepository = []Permission{RepoRead, RepoWrite, RepoAdmin}
)

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
