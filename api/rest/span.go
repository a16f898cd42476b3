package rest

import (
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// span is two commits that are compared; From is zero before the first one.
type span struct{ From, To git.ObjectID }

// fromHash is From as Bitbucket writes it: null if there is none.
func (s span) fromHash() *string {
	if s.From.IsZero() {
		return nil
	}
	from := s.From.String()
	return &from
}

// spanOf reads from a request which commits are to be compared.
type spanOf func(c *call, r repositoryAt) (span, error)

// commitSpan is that of the commit in the path, since its first parent or the parameter
// "since".
func (a *API) commitSpan(c *call, r repositoryAt) (span, error) {
	return a.since(c, r, c.Param("commitId"))
}

// untilSpan is that of the commit in the parameter "until", likewise.
func (a *API) untilSpan(c *call, r repositoryAt) (span, error) {
	if c.QueryParam("until") == "" {
		return span{}, domain.Invalid("until", "The commit whose changes are asked for is required.")
	}
	return a.since(c, r, c.QueryParam("until"))
}

func (a *API) since(c *call, r repositoryAt, until string) (s span, err error) {
	if s.To, err = r.commit(c.ctx(), until); err != nil {
		return s, err
	}
	if since := c.QueryParam("since"); since != "" {
		s.From, err = r.commit(c.ctx(), since)
		return s, err
	}
	commit, err := a.Contents.Commit(c.ctx(), r.Snapshot, s.To)
	if err == nil && len(commit.Parents) > 0 {
		s.From = commit.Parents[0]
	}
	return s, err
}

// comparedSpan is that of the parameter "from", since it parted from "to".
func (a *API) comparedSpan(c *call, r repositoryAt) (s span, err error) {
	from, to, err := a.compared(c, r)
	if err != nil {
		return s, err
	}
	s.To = from
	s.From, _, err = a.Contents.MergeBase(c.ctx(), r.Snapshot, from, to)
	return s, err
}

// compared are the commits of the parameters "from" and "to".
func (a *API) compared(c *call, r repositoryAt) (from, to git.ObjectID, err error) {
	if other := c.QueryParam("fromRepo"); other != "" && !strings.EqualFold(other, r.Project.Key+"/"+r.Slug) {
		return from, to, domain.Invalid("fromRepo", "Only commits of one repository can be compared here.")
	}
	if from, err = r.commit(c.ctx(), c.QueryParam("from")); err != nil {
		return from, to, err
	}
	to, err = r.commit(c.ctx(), c.QueryParam("to"))
	return from, to, err
}
