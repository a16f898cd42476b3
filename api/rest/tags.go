package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
)

func (a *API) tagRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: repositoryPath + "/tags", summary: "List tags",
			handle: a.handleListTags, query: []string{"filterText", "orderBy"}, paged: true, answer: restTag{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/tags/{name}", summary: "Get a tag", tail: true,
			handle: a.handleGetTag, answer: restTag{},
		},
		{
			method: http.MethodPost, path: repositoryPath + "/tags", summary: "Create a tag: annotated if it has a message, else lightweight",
			handle: a.createTag(http.StatusOK), body: tagBody{}, answer: restTag{},
		},
		{
			method: http.MethodPost, path: gitTagsPath, summary: "Create a tag of the given type",
			handle: a.createTag(http.StatusCreated), body: tagBody{}, answer: restTag{}, status: http.StatusCreated,
		},
		{
			method: http.MethodDelete, path: gitTagsPath + "/{name}", summary: "Delete a tag", tail: true, handle: a.handleDeleteTag,
		},
	}
}

const gitTagsPath = "/rest/git/1.0/projects/{projectKey}/repos/{repositorySlug}/tags"

type restTag struct {
	restRef
	LatestCommit    string  `json:"latestCommit"`
	LatestChangeset string  `json:"latestChangeset"`
	Hash            *string `json:"hash"` // of the tag object; null for a lightweight tag
}

func newRestTag(ref git.Ref) restTag {
	tag := restTag{restRef: restRef{ID: ref.Name, DisplayID: git.ShortName(ref.Name), Type: "TAG"}}
	commit := ref.ID.String()
	if !ref.Peeled.IsZero() {
		object := commit
		tag.Hash, commit = &object, ref.Peeled.String()
	}
	tag.LatestCommit, tag.LatestChangeset = commit, commit
	return tag
}

func (a *API) handleListTags(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	refs, err := listRefs(c, r, "refs/tags/")
	if err != nil {
		return err
	}
	refs, more := cut(w, refs)
	return c.json(http.StatusOK, pageOf(w, convert(refs, newRestTag), more))
}

func (a *API) handleGetTag(c *call) error {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	ref, ok := r.Refs.Get("refs/tags/" + strings.TrimPrefix(c.tail(), "refs/tags/"))
	if !ok {
		return domain.NotFound("tag", "Tag '%s' does not exist in repository '%s'.", clip(c.tail()), r.Slug)
	}
	return c.json(http.StatusOK, newRestTag(ref))
}
