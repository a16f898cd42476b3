package rest

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/projections/catalog"
)

func (a *API) forkRoutes() []route {
	return []route{
		{
			method: http.MethodPost, path: repositoryPath, summary: "Fork a repository",
			handle: a.handleFork, body: forkBody{}, answer: restRepository{}, status: http.StatusCreated,
		},
		{
			method: http.MethodGet, path: repositoryPath + "/forks", summary: "List the forks of a repository",
			handle: a.handleListForks, paged: true, answer: restRepository{},
		},
		{
			method: http.MethodGet, path: repositoryPath + "/related", summary: "List the repositories that have an origin in common with this one",
			handle: a.handleListRelated, paged: true, answer: restRepository{},
		},
	}
}

type forkBody struct {
	Name          *string        `json:"name"`
	DefaultBranch *string        `json:"defaultBranch"`
	Project       *projectKeyRef `json:"project"`
}

// handleFork makes a repository that begins with the branches, tags and objects of another
// one as they are now. It starts private unless the origin is public itself.
func (a *API) handleFork(c *call) error {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	var body forkBody
	if c.Request().ContentLength != 0 {
		if err := c.decode(&body); err != nil {
			return err
		}
	}
	if !r.Forkable {
		return domain.Invalid("", "The repository %s/%s does not allow forks.", r.Project.Key, r.Slug)
	}
	if body.Project == nil || body.Project.Key == "" {
		return domain.Invalid("project", "Say in which project the fork shall be: {\"project\": {\"key\": \"KEY\"}}. There are no personal projects here.")
	}
	target, err := a.judge.Project(c.ctx(), c.caller, body.Project.Key, rights.ProjectAdmin)
	if err != nil {
		return err
	}
	number, err := a.Log.NextID(c.ctx(), "repository")
	if err != nil {
		return err
	}
	id := domain.RepositoryID(number)
	name, head := r.Name, r.Head
	if value(body.Name) != "" {
		name = *body.Name
	}
	if value(body.DefaultBranch) != "" {
		head = *body.DefaultBranch
	}
	command := repository.Command(repository.Fork{
		Create: repository.Create{
			ID: id, Storage: uuid.NewString(), Project: target.ID, Name: name, DefaultBranch: head,
			Settings: repository.Settings{Description: r.Description, Public: r.Public, Forkable: true},
		},
		Origin: r.Repository.ID, OriginVersion: r.Version, Packs: lent(r.Snapshot), Refs: forkedRefs(r.Refs),
	})
	if err := execute(a, c, domain.RepositoryStream(id), repository.Evolve, repository.Decide, command); err != nil {
		return err
	}
	return a.answerRepository(c, id)
}

// lent are a repository's packs as those of another one name them.
func lent(s *gitfs.Snapshot) []git.Pack {
	packs := make([]git.Pack, len(s.Packs))
	for i, p := range s.Packs {
		p.Storage = cmp.Or(p.Storage, s.Storage)
		packs[i] = p
	}
	return packs
}

// forkedRefs are the branches and tags.
func forkedRefs(all gitfs.Refs) (refs []git.Ref) {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		for ref := range all.Prefixed(prefix) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// withOrigin is a repository with the one that it was forked from, if the caller may read
// that one.
func (a *API) withOrigin(c *call, r catalog.Repository) (restRepository, error) {
	answer := a.restRepository(r)
	if r.Origin == 0 {
		return answer, nil
	}
	origin, err := a.Catalog.RepositoryByID(c.ctx(), r.Origin)
	if err == nil {
		origin, err = a.judge.Repository(c.ctx(), c.caller, origin.Project.Key, origin.Slug, rights.RepoRead)
	}
	var denied *permission.DeniedError
	if absent(err) || errors.As(err, &denied) {
		return answer, nil
	}
	if err != nil {
		return answer, err
	}
	from := a.restRepository(origin)
	answer.Origin = &from
	return answer, nil
}

func (a *API) handleListForks(c *call) error {
	return a.listFamily(c, func(r catalog.Repository) catalog.RepositoryFilter { return catalog.RepositoryFilter{Origin: r.ID} })
}

func (a *API) handleListRelated(c *call) error {
	return a.listFamily(c, func(r catalog.Repository) catalog.RepositoryFilter {
		return catalog.RepositoryFilter{Hierarchy: r.HierarchyID, Except: r.ID}
	})
}

func (a *API) listFamily(c *call, filter func(catalog.Repository) catalog.RepositoryFilter) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	r, err := a.repository(c, rights.RepoRead)
	if err != nil {
		return err
	}
	f := filter(r)
	f.Rank = rights.RepoRead.Rank()
	return a.listRepositories(c, w, f)
}
