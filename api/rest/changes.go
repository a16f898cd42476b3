package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
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

// span is two commits that are compared; From is zero before the first one.
type span struct{ From, To git.ObjectID }

// since is the span from a commit that is named, or from the first parent, to another.
func (a *API) since(c *call, r repositoryAt, until, since string) (s span, err error) {
	if s.To, err = r.commit(c.ctx(), until); err != nil {
		return s, err
	}
	if since != "" {
		s.From, err = r.commit(c.ctx(), since)
		return s, err
	}
	commit, err := a.Contents.Commit(c.ctx(), r.Snapshot, s.To)
	if err == nil && len(commit.Parents) > 0 {
		s.From = commit.Parents[0]
	}
	return s, err
}

// compared is the span of the parameters "from" and "to": from where the two parted.
func (a *API) compared(c *call, r repositoryAt) (s span, to git.ObjectID, err error) {
	if other := c.QueryParam("fromRepo"); other != "" && !strings.EqualFold(other, r.Project.Key+"/"+r.Slug) {
		return s, to, domain.Invalid("fromRepo", "Only commits of one repository can be compared here.")
	}
	if s.To, err = r.commit(c.ctx(), c.QueryParam("from")); err != nil {
		return s, to, err
	}
	if to, err = r.commit(c.ctx(), c.QueryParam("to")); err != nil {
		return s, to, err
	}
	s.From, _, err = a.Contents.MergeBase(c.ctx(), r.Snapshot, s.To, to)
	return s, to, err
}

func (a *API) handleListChanges(c *call) error {
	return a.listChanges(c, func(r repositoryAt) (span, error) {
		if c.QueryParam("until") == "" {
			return span{}, domain.Invalid("until", "The commit whose changes are asked for is required.")
		}
		return a.since(c, r, c.QueryParam("until"), c.QueryParam("since"))
	})
}

func (a *API) handleListCommitChanges(c *call) error {
	return a.listChanges(c, func(r repositoryAt) (span, error) { return a.since(c, r, c.Param("commitId"), c.QueryParam("since")) })
}

func (a *API) handleCompareChanges(c *call) error {
	return a.listChanges(c, func(r repositoryAt) (span, error) {
		s, _, err := a.compared(c, r)
		return s, err
	})
}

func (a *API) listChanges(c *call, between func(repositoryAt) (span, error)) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	s, err := between(r)
	if err != nil {
		return err
	}
	list, _, err := a.Contents.Changes(c.ctx(), r.Snapshot, browse.ChangeQuery{From: s.From, To: s.To, Renames: true})
	if err != nil {
		return err
	}
	list, more := cut(w, list)
	answer := restChanges{ToHash: s.To.String(), page: pageOf(w, convert(list, newRestChange), more)}
	if !s.From.IsZero() {
		from := s.From.String()
		answer.FromHash = &from
	}
	return c.json(http.StatusOK, answer)
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
	s, to, err := a.compared(c, r)
	if err != nil {
		return err
	}
	list, more, err := a.Contents.Log(c.ctx(), r.Snapshot, browse.LogQuery{Until: s.To, Since: to, Start: w.Start, Size: w.Limit})
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
