package rest

import (
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/object"
)

func (a *API) changeRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: repositoryPath + "/changes", summary: "List what a commit changed, or what differs between two",
			handle: a.handleListChanges, query: []string{"until", "since"}, paged: true, answer: restChange{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/commits/{commitId}/changes", summary: "List what a commit changed",
			handle: a.handleListCommitChanges, query: []string{"since", "withComments"}, paged: true, answer: restChange{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/compare/changes", summary: "List what the commits of one branch and not of another change",
			handle: a.handleCompareChanges, query: []string{"from", "to", "fromRepo"}, paged: true, answer: restChange{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/compare/commits", summary: "List the commits of one branch that another has not",
			handle: a.handleCompareCommits, query: []string{"from", "to", "fromRepo"}, paged: true, answer: restCommit{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/commits/{commitId}/merge-base", summary: "Get the best common ancestor of two commits; 204 if they have none",
			handle: a.handleGetMergeBase, query: []string{"otherCommitId"}, answer: restCommit{},
		},
	}
}

type restChange struct {
	ContentID        string               `json:"contentId"`
	FromContentID    string               `json:"fromContentId"`
	Path             restPath             `json:"path"`
	SrcPath          *restPath            `json:"srcPath,omitempty"` // of what was moved
	Executable       bool                 `json:"executable"`
	SrcExecutable    bool                 `json:"srcExecutable"`
	PercentUnchanged int                  `json:"percentUnchanged"` // -1 if it was not moved
	Type             string               `json:"type"`
	NodeType         string               `json:"nodeType"`
	Properties       restChangeProperties `json:"properties"`
}

type restChangeProperties struct {
	GitChangeType string `json:"gitChangeType"`
}

// restChanges is a page of changes between two commits.
type restChanges struct {
	FromHash *string `json:"fromHash"`
	ToHash   string  `json:"toHash"`
	page[restChange]
}

// changeTypes are Bitbucket's and Git's words.
var changeTypes = map[browse.ChangeKind][2]string{
	browse.Added: {"ADD", "ADD"}, browse.Deleted: {"DELETE", "DELETE"}, browse.Modified: {"MODIFY", "MODIFY"}, browse.Renamed: {"MOVE", "RENAME"},
}

func newRestChange(c browse.Change) restChange {
	mode := c.Mode
	if c.Kind == browse.Deleted {
		mode = c.OldMode
	}
	answer := restChange{
		ContentID: c.ID.String(), FromContentID: c.OldID.String(), Path: newRestPath(c.Path), PercentUnchanged: -1,
		Executable: c.Mode == object.ModeExecutable, SrcExecutable: c.OldMode == object.ModeExecutable,
		Type: changeTypes[c.Kind][0], NodeType: nodeType(mode), Properties: restChangeProperties{changeTypes[c.Kind][1]},
	}
	if c.Kind == browse.Renamed {
		from := newRestPath(c.OldPath)
		answer.SrcPath, answer.PercentUnchanged = &from, c.Similarity
	}
	return answer
}

func (a *API) handleListChanges(c *call) error { return a.listChanges(c, a.untilSpan) }

func (a *API) handleListCommitChanges(c *call) error { return a.listChanges(c, a.commitSpan) }

func (a *API) handleCompareChanges(c *call) error { return a.listChanges(c, a.comparedSpan) }

func (a *API) listChanges(c *call, between spanOf) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	s, err := between(c, r)
	if err != nil {
		return err
	}
	list, _, err := a.Contents.Changes(c.ctx(), r.Snapshot, browse.ChangeQuery{From: s.From, To: s.To, Renames: true})
	if err != nil {
		return err
	}
	list, more := cut(w, list)
	return c.json(http.StatusOK, restChanges{FromHash: s.fromHash(), ToHash: s.To.String(), page: pageOf(w, convert(list, newRestChange), more)})
}

func (a *API) handleCompareCommits(c *call) error {
	w, err := c.window(maxCommits)
	if err != nil {
		return err
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	from, to, err := a.compared(c, r)
	if err != nil {
		return err
	}
	list, more, err := a.Contents.Log(c.ctx(), r.Snapshot, browse.LogQuery{Until: from, Since: to, Start: w.Start, Size: w.Limit})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, func(l browse.LoggedCommit) restCommit { return newRestCommit(l.ID, l.Commit) }), more))
}

func (a *API) handleGetMergeBase(c *call) error {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	if c.QueryParam("otherCommitId") == "" {
		return domain.Invalid("otherCommitId", "The other commit is required.")
	}
	one, err := r.commit(c.ctx(), c.Param("commitId"))
	if err != nil {
		return err
	}
	other, err := r.commit(c.ctx(), c.QueryParam("otherCommitId"))
	if err != nil {
		return err
	}
	base, ok, err := a.Contents.MergeBase(c.ctx(), r.Snapshot, one, other)
	if err != nil {
		return err
	}
	if !ok {
		return c.none()
	}
	commit, err := a.Contents.Commit(c.ctx(), r.Snapshot, base)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, newRestCommit(base, commit))
}
