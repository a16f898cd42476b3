package oauth

import (
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// AccountWrite is the scope that lets an application change the user's profile.
const AccountWrite = "ACCOUNT_WRITE"

// scopes are Bitbucket's, the narrowest first, and the permissions that each covers. What the
// user may not do himself none of them lets an application do.
var scopes = []struct {
	name, meaning string
	covers        []access.Permission
}{
	{"PUBLIC_REPOS", "see your name, and read what anybody may read", nil},
	{AccountWrite, "change your profile", nil},
	{"REPO_READ", "read the projects and repositories that you can read", []access.Permission{access.ProjectRead, access.RepoRead}},
	{"REPO_WRITE", "push to the repositories that you can push to", []access.Permission{access.ProjectRead, access.RepoWrite}},
	{"REPO_ADMIN", "administer the repositories that you administer", []access.Permission{access.ProjectRead, access.RepoAdmin}},
	{"PROJECT_ADMIN", "administer the projects that you administer, and create projects", []access.Permission{access.ProjectAdmin}},
	{"ADMIN_WRITE", "do what you may do as an administrator: manage users, groups and permissions", []access.Permission{access.Admin}},
	{"SYSTEM_ADMIN", "do everything that you may do as a system administrator", []access.Permission{access.SysAdmin}},
}

// ParseScopes reads the names of scopes, brings them into order and drops doubles. The error is
// a *domain.InvalidError for the field "scopes".
func ParseScopes(names []string) ([]string, error) {
	var found []string
	for _, scope := range scopes {
		if slices.Contains(names, scope.name) {
			found = append(found, scope.name)
		}
	}
	for _, name := range names {
		if !slices.Contains(found, name) {
			return nil, domain.Invalid("scopes", "%q is not a scope. Use some of %s.", clip(name), strings.Join(Scopes(), ", "))
		}
	}
	return found, nil
}

// Scopes lists the names of all scopes, the narrowest first.
func Scopes() []string {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = scope.name
	}
	return names
}

// Permissions is what scopes cover, never nil.
func Permissions(names []string) []access.Permission {
	covered := []access.Permission{}
	for _, scope := range scopes {
		if slices.Contains(names, scope.name) {
			covered = append(covered, scope.covers...)
		}
	}
	return covered
}

// Meanings says in words what scopes let an application do.
func Meanings(names []string) []string {
	var words []string
	for _, scope := range scopes {
		if slices.Contains(names, scope.name) {
			words = append(words, scope.meaning)
		}
	}
	return words
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
