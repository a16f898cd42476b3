package rest

import (
	"net/http"
	"strings"

	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/object"
)

func (a *API) commitRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: repositoryPath + "/commits", summary: "List commits, the newest first",
			handle: a.handleListCommits, query: []string{"until", "since", "path", "followRenames", "merges", "ignoreMissing"}, paged: true, answer: restCommit{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/commits/{commitId}", summary: "Get a commit by its id or by the name of a ref", tail: true,
			handle: a.handleGetCommit, answer: restCommit{},
		},
	}
}

type restCommit struct {
	ID                 string         `json:"id"`
	DisplayID          string         `json:"displayId"`
	Author             restPerson     `json:"author"`
	AuthorTimestamp    int64          `json:"authorTimestamp"` // epoch milliseconds
	Committer          restPerson     `json:"committer"`
	CommitterTimestamp int64          `json:"committerTimestamp"` // epoch milliseconds
	Message            string         `json:"message"`
	Parents            []restObjectID `json:"parents"`
}

type restPerson struct {
	Name         string `json:"name"`
	EmailAddress string `json:"emailAddress"`
}

type restObjectID struct {
	ID        string `json:"id"`
	DisplayID string `json:"displayId"`
}

func newRestCommit(id git.ObjectID, commit *object.Commit) restCommit {
	answer := restCommit{
		ID: id.String(), DisplayID: id.Abbrev(), Message: strings.TrimRight(text(commit.Message, commit.Encoding), "\n"),
		Author: person(commit.Author, commit.Encoding), AuthorTimestamp: commit.Author.When.UnixMilli(),
		Committer: person(commit.Committer, commit.Encoding), CommitterTimestamp: commit.Committer.When.UnixMilli(),
		Parents: []restObjectID{},
	}
	for _, parent := range commit.Parents {
		answer.Parents = append(answer.Parents, restObjectID{ID: parent.String(), DisplayID: parent.Abbrev()})
	}
	return answer
}

func person(s object.Signature, encoding string) restPerson {
	return restPerson{Name: text(s.Name, encoding), EmailAddress: text(s.Email, encoding)}
}

// text makes UTF-8 of bytes that people have written. What says that it is ISO 8859-1
// is converted; elsewhere what is not UTF-8 is marked.
func text(s, encoding string) string {
	switch strings.ToLower(encoding) {
	case "iso-8859-1", "iso8859-1", "latin1", "latin-1":
		runes := make([]rune, len(s))
		for i := range len(s) {
			runes[i] = rune(s[i])
		}
		return string(runes)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func (a *API) handleListCommits(c *call) error {
	w, err := c.window(maxCommits)
	if err != nil {
		return err
	}
	merges, err := c.choice("merges", "include", "include", "exclude", "only")
	if err != nil {
		return err
	}
	ignoreMissing, err := c.flag("ignoreMissing", false)
	if err != nil {
		return err
	}
	followRenames, err := c.flag("followRenames", false)
	if err != nil {
		return err
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	query := browse.LogQuery{
		Path: strings.Trim(c.QueryParam("path"), "/"), Start: w.Start, Size: w.Limit,
		Merges: map[string]browse.Merges{"include": browse.IncludeMerges, "exclude": browse.ExcludeMerges, "only": browse.OnlyMerges}[merges],
	}
	if query.Until, err = r.commit(c.ctx(), c.QueryParam("until")); err != nil {
		if ignoreMissing && absent(err) {
			return c.json(http.StatusOK, pageOf(w, []restCommit{}, false))
		}
		return err
	}
	if since := c.QueryParam("since"); since != "" {
		if query.Since, err = r.commit(c.ctx(), since); err != nil && (!ignoreMissing || !absent(err)) {
			return err
		}
	}
	log := a.Contents.Log
	if followRenames && query.Path != "" {
		log = a.Contents.Follow
	}
	list, more, err := log(c.ctx(), r.Snapshot, query)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, func(l browse.LoggedCommit) restCommit { return newRestCommit(l.ID, l.Commit) }), more))
}

func (a *API) handleGetCommit(c *call) error {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	id, err := r.commit(c.ctx(), c.tail())
	if err != nil {
		return err
	}
	commit, err := a.Contents.Commit(c.ctx(), r.Snapshot, id)
	if err != nil {
		return r.noCommit(c.tail(), err)
	}
	return c.json(http.StatusOK, newRestCommit(id, commit))
}
