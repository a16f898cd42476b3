package gitserver

import "strings"

// Name is a repository as a client names it.
type Name struct {
	Project string // a key or ~user, in any case
	Repo    string // the slug, in any case, without .git
	Moment  string // if it is asked for as it was, written as domain.ParseMoment reads it
}

// ParseName reads a project and a repository with or without the suffix .git and with or
// without an @ and a moment. Everything that no name can hold is refused here, once, after
// decoding.
func ParseName(project, repo string) (n Name, ok bool) {
	if suffix := len(repo) - len(".git"); suffix > 0 && strings.EqualFold(repo[suffix:], ".git") {
		repo = repo[:suffix]
	}
	repo, moment, past := strings.Cut(repo, "@")
	ok = plain(strings.TrimPrefix(project, "~")) && plain(repo) && past == (moment != "") && len(moment) <= maxName
	return Name{Project: project, Repo: repo, Moment: moment}, ok
}

const maxName = 255

func plain(name string) bool {
	if name == "" || len(name) > maxName || strings.Trim(name, ".") == "" {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-@", r)
	}) < 0
}
