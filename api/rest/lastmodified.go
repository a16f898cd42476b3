package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
)

func (a *API) lastModifiedRoutes() []route {
	r := route{
		method: http.MethodGet, summary: "For each entry of a directory get the commit that last changed it",
		handle: a.handleLastModified, query: []string{"at"}, answer: restLastModified{},
	}
	root, below := r, r
	root.path, below.path, below.tail = repositoryPath+"/last-modified", repositoryPath+"/last-modified/{path}", true
	return []route{root, below}
}

type restLastModified struct {
	Files        map[string]restCommit `json:"files"`
	LatestCommit *restCommit           `json:"latestCommit"`
}

func (a *API) handleLastModified(c *call) error {
	p, err := a.find(c)
	if err != nil {
		return err
	}
	if !p.Mode.IsTree() {
		return domain.Invalid("path", "The path \"%s\" is not a directory.", clip(p.path))
	}
	list, newest, err := a.Contents.LastModified(c.ctx(), p.Snapshot, p.commit, p.path)
	if err != nil {
		return err
	}
	answer := restLastModified{Files: make(map[string]restCommit, len(list))}
	for _, e := range list {
		answer.Files[strings.ToValidUTF8(e.Name, "\uFFFD")] = newRestCommit(e.Commit.ID, e.Commit.Commit)
	}
	if newest.Commit != nil {
		latest := newRestCommit(newest.ID, newest.Commit)
		answer.LatestCommit = &latest
	}
	return c.json(http.StatusOK, answer)
}
