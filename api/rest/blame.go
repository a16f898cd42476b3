package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/gitfs/browse"
)

type restBlame struct {
	Author             restPerson `json:"author"`
	AuthorTimestamp    int64      `json:"authorTimestamp"` // epoch milliseconds
	Committer          restPerson `json:"committer"`
	CommitterTimestamp int64      `json:"committerTimestamp"` // epoch milliseconds
	CommitHash         string     `json:"commitHash"`
	DisplayCommitHash  string     `json:"displayCommitHash"`
	CommitID           string     `json:"commitId"`
	CommitDisplayID    string     `json:"commitDisplayId"`
	FileName           string     `json:"fileName"`
	LineNumber         int        `json:"lineNumber"`
	SpannedLines       int        `json:"spannedLines"`
}

// present reads a flag that is true if it is named at all, unless it says false.
func (c *call) present(name string) bool {
	return c.QueryParams().Has(name) && !strings.EqualFold(c.QueryParam(name), "false")
}

// blame says who wrote the lines of a window of a file.
func (a *API) blame(c *call, p place, w window) ([]restBlame, error) {
	list, err := a.Contents.Blame(c.ctx(), p.Snapshot, p.commit, p.path, w.Start, w.Limit)
	if err != nil {
		return nil, err
	}
	return convert(list, newRestBlame), nil
}

func newRestBlame(l browse.BlameLines) restBlame {
	commit := newRestCommit(l.Commit.ID, l.Commit.Commit)
	return restBlame{
		Author: commit.Author, AuthorTimestamp: commit.AuthorTimestamp, Committer: commit.Committer, CommitterTimestamp: commit.CommitterTimestamp,
		CommitHash: commit.ID, DisplayCommitHash: commit.DisplayID, CommitID: commit.ID, CommitDisplayID: commit.DisplayID,
		FileName: strings.ToValidUTF8(l.Path, "\uFFFD"), LineNumber: l.Line, SpannedLines: l.Lines,
	}
}

// browseBlame answers with the blame alone.
func (a *API) browseBlame(c *call, p place, w window) error {
	list, err := a.blame(c, p, w)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, list)
}
