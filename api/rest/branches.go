package rest

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

func (a *API) branchRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: repositoryPath + "/branches", summary: "List branches",
			handle: a.handleListBranches, paged: true, answer: restBranch{},
			query: []string{"filterText", "orderBy", "boostMatches", "details"},
		},
		{
			method: http.MethodPost, path: repositoryPath + "/branches", summary: "Create a branch",
			handle: a.createBranch(http.StatusOK), body: branchBody{}, answer: restBranch{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/branches/default", summary: "Get the default branch; 204 if the repository is empty",
			handle: a.handleGetDefaultBranch, answer: restBranch{},
		},
		{
			method: http.MethodPut, path: repositoryPath + "/branches/default", summary: "Make another branch the default",
			handle: a.handleSetDefaultBranch, body: refBody{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/default-branch", summary: "Get the name of the default branch",
			handle: a.handleGetDefaultBranchName, answer: restRef{},
		},
		{
			method: http.MethodPut, path: repositoryPath + "/default-branch", summary: "Make another branch the default",
			handle: a.handleSetDefaultBranch, body: refBody{},
		},
	}
}

type restRef struct {
	ID        string `json:"id"`
	DisplayID string `json:"displayId"`
	Type      string `json:"type"`
}

type restBranch struct {
	restRef
	LatestCommit    string         `json:"latestCommit"`
	LatestChangeset string         `json:"latestChangeset"`
	IsDefault       bool           `json:"isDefault"`
	Metadata        map[string]any `json:"metadata,omitempty"` // with details=true
}

type branchBody struct {
	Name       string `json:"name"`
	StartPoint string `json:"startPoint"`
}

type refBody struct {
	ID string `json:"id"`
}

// latestCommitMetadata is where clients look for the newest commit of a branch.
const latestCommitMetadata = "com.atlassian.bitbucket.server.bitbucket-branch:latest-commit-metadata"

func branch(r repositoryAt, ref git.Ref) restBranch {
	return restBranch{
		restRef:      restRef{ID: ref.Name, DisplayID: git.ShortName(ref.Name), Type: "BRANCH"},
		LatestCommit: ref.ID.String(), LatestChangeset: ref.ID.String(), IsDefault: ref.Name == r.Head,
	}
}

func (a *API) handleListBranches(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	details, err := c.flag("details", false)
	if err != nil {
		return err
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	refs, err := listRefs(c, r, "refs/heads/")
	if err != nil {
		return err
	}
	refs, more := cut(w, refs)
	list := make([]restBranch, len(refs))
	for i, ref := range refs {
		list[i] = branch(r, ref)
		if !details {
			continue
		}
		commit, err := a.Contents.Commit(c.ctx(), r.Snapshot, ref.ID)
		if err != nil {
			return err
		}
		list[i].Metadata = map[string]any{latestCommitMetadata: newRestCommit(ref.ID, commit)}
	}
	return c.json(http.StatusOK, pageOf(w, list, more))
}

// listRefs lists the refs below prefix as the query asks: those that contain
// filterText, by name or the last changed first, matches of the whole name and of its
// beginning at the top if boostMatches is given.
func listRefs(c *call, r repositoryAt, prefix string) ([]git.Ref, error) {
	order, err := c.choice("orderBy", "ALPHABETICAL", "ALPHABETICAL", "MODIFICATION")
	if err != nil {
		return nil, err
	}
	boost, err := c.flag("boostMatches", false)
	if err != nil {
		return nil, err
	}
	text := strings.ToLower(c.QueryParam("filterText"))
	var list []git.Ref
	for ref := range r.Refs.Prefixed(prefix) {
		if strings.Contains(strings.ToLower(ref.Name[len(prefix):]), text) {
			list = append(list, ref)
		}
	}
	if order == "MODIFICATION" {
		if err := newestFirst(c.ctx(), r, list); err != nil {
			return nil, err
		}
	}
	if boost && text != "" {
		grade := func(ref git.Ref) int {
			switch name := strings.ToLower(ref.Name[len(prefix):]); {
			case name == text:
				return 0
			case strings.HasPrefix(name, text):
				return 1
			}
			return 2
		}
		slices.SortStableFunc(list, func(x, y git.Ref) int { return grade(x) - grade(y) })
	}
	return list, nil
}

// maxDated is how many refs are ordered by the dates of their commits, each of which
// must be read for that. More stay in the order of their names.
const maxDated = 10_000

func newestFirst(ctx context.Context, r repositoryAt, list []git.Ref) error {
	if len(list) > maxDated {
		return nil
	}
	when := make(map[string]int64, len(list))
	for _, ref := range list {
		id := ref.ID
		if !ref.Peeled.IsZero() {
			id = ref.Peeled
		}
		commit, err := r.contents.Commit(ctx, r.Snapshot, id)
		if absent(err) {
			continue // a tag of something else than a commit
		}
		if err != nil {
			return err
		}
		when[ref.Name] = commit.Committer.When.Unix()
	}
	slices.SortStableFunc(list, func(x, y git.Ref) int {
		return int(min(1, max(-1, when[y.Name]-when[x.Name])))
	})
	return nil
}

// createBranch answers with a status, in which the two APIs for it differ.
func (a *API) createBranch(status int) handler {
	return func(c *call) error {
		r, err := a.open(c, rights.RepoWrite)
		if err != nil {
			return err
		}
		var body branchBody
		if err := c.decode(&body); err != nil {
			return err
		}
		name := "refs/heads/" + strings.TrimPrefix(body.Name, "refs/heads/")
		if err := git.CheckRefName(name); err != nil {
			return domain.Invalid("name", "%s.", err)
		}
		if body.StartPoint == "" {
			return domain.Invalid("startPoint", "The start point of the branch is required.")
		}
		commit, err := r.commit(c.ctx(), body.StartPoint)
		if err != nil {
			return err
		}
		push, err := a.judged(c, r, repository.PushRefs{Updates: []git.RefUpdate{{Name: name, New: commit}}, Atomic: true})
		if err != nil {
			return err
		}
		results, err := a.push(c, r, push)
		if err != nil {
			return err
		}
		for _, result := range results {
			if !result.OK() {
				return &exceptionError{
					status: http.StatusConflict, exception: exceptionDuplicateRef,
					message: "Branch '" + git.ShortName(name) + "' cannot be created: it, or a branch whose name stands in its way, exists.",
				}
			}
		}
		return c.json(status, branch(r, git.Ref{Name: name, ID: commit}))
	}
}

// defaultBranch is the default branch, if it exists.
func defaultBranch(r repositoryAt) (git.Ref, error) {
	ref, ok := r.Refs.Get(r.Head)
	if !ok {
		return git.Ref{}, domain.NotFound("branch", "Branch '%s', the default of repository '%s', does not exist.", git.ShortName(r.Head), r.Slug)
	}
	return ref, nil
}

func (a *API) handleGetDefaultBranch(c *call) error {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	if r.Refs.Len() == 0 {
		return c.none()
	}
	ref, err := defaultBranch(r)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, branch(r, ref))
}

func (a *API) handleGetDefaultBranchName(c *call) error {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	ref, err := defaultBranch(r)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, branch(r, ref).restRef)
}

func (a *API) handleSetDefaultBranch(c *call) error {
	r, err := a.open(c, rights.RepoAdmin)
	if err != nil {
		return err
	}
	var body refBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.ID == "" {
		return domain.Invalid("id", "The branch is required.")
	}
	name := "refs/heads/" + strings.TrimPrefix(body.ID, "refs/heads/")
	if _, ok := r.Refs.Get(name); !ok && r.Refs.Len() > 0 {
		return domain.NotFound("branch", "Branch '%s' does not exist in repository '%s'.", clip(body.ID), r.Slug)
	}
	command := repository.Command(repository.Update{DefaultBranch: &name})
	if err := execute(a, c, domain.RepositoryStream(r.Repository.ID), repository.Evolve, repository.Decide, command); err != nil {
		return err
	}
	return c.none()
}
