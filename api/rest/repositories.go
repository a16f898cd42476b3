package rest

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/projections/catalog"
)

func (a *API) repositoryRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: apiPath + "/repos", summary: "List the repositories that the caller may see",
			handle: a.handleListRepositories, paged: true, answer: restRepository{},
			query: []string{"name", "projectname", "projectkey", "permission", "visibility", "state", "archived"},
		},
		{
			method: http.MethodGet, path: projectPath + "/repos", summary: "List the repositories of a project",
			handle: a.handleListProjectRepositories, paged: true, answer: restRepository{},
		},
		{
			method: http.MethodPost, path: projectPath + "/repos", summary: "Create a repository",
			handle: a.handleCreateRepository, body: repositoryBody{}, answer: restRepository{}, status: http.StatusCreated,
		},
		{method: http.MethodGet, path: repositoryPath, summary: "Get a repository", handle: a.handleGetRepository, answer: restRepository{}},
		{
			method: http.MethodPut, path: repositoryPath, summary: "Change a repository, rename it or move it to another project",
			handle: a.handleUpdateRepository, body: repositoryBody{}, answer: restRepository{}, status: http.StatusCreated,
		},
		{
			method: http.MethodDelete, path: repositoryPath, summary: "Delete a repository, which can be restored",
			handle: a.handleDeleteRepository, answer: restError{}, status: http.StatusAccepted,
		},
	}
}

type restRepository struct {
	Slug          string          `json:"slug"`
	ID            int64           `json:"id"`
	Name          string          `json:"name"`
	Description   string          `json:"description,omitempty"`
	HierarchyID   string          `json:"hierarchyId"`
	SCM           string          `json:"scmId"`
	State         string          `json:"state"`
	StatusMessage string          `json:"statusMessage"`
	Forkable      bool            `json:"forkable"`
	Project       restProject     `json:"project"`
	Public        bool            `json:"public"`
	Archived      bool            `json:"archived"`
	Origin        *restRepository `json:"origin,omitempty"` // of a fork, if the caller may see it
	Links         links           `json:"links"`
}

type repositoryBody struct {
	Name          *string        `json:"name"`
	SCM           *string        `json:"scmId"`
	Description   *string        `json:"description"`
	DefaultBranch *string        `json:"defaultBranch"`
	Forkable      *bool          `json:"forkable"`
	Public        *bool          `json:"public"`
	Project       *projectKeyRef `json:"project"`
}

type projectKeyRef struct {
	Key string `json:"key"`
}

func (a *API) restRepository(r catalog.Repository) restRepository {
	return restRepository{
		Slug: r.Slug, ID: int64(r.ID), Name: r.Name, Description: r.Description, HierarchyID: r.HierarchyID,
		SCM: "git", State: "AVAILABLE", StatusMessage: "Available", Forkable: r.Forkable, Project: a.restProject(r.Project), Public: r.Public,
		Links: links{Clone: a.cloneLinks(r), Self: []link{{Href: a.page("projects", r.Project.Key, "repos", r.Slug, "browse")}}},
	}
}

// repository finds the repository that the path names for a caller who needs a
// permission on it.
func (a *API) repository(c *call, need rights.Permission) (catalog.Repository, error) {
	return a.judge.Repository(c.ctx(), c.caller, c.Param("projectKey"), c.Param("repositorySlug"), need)
}

func (a *API) handleListRepositories(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	need, err := c.choice("permission", "", string(rights.RepoRead), string(rights.RepoWrite), string(rights.RepoAdmin))
	if err != nil {
		return err
	}
	visibility, err := c.choice("visibility", "", string(catalog.Public), string(catalog.Private))
	if err != nil {
		return err
	}
	state, err := c.choice("state", "AVAILABLE", "AVAILABLE", "INITIALISING", "INITIALISATION_FAILED")
	if err != nil {
		return err
	}
	archived, err := c.choice("archived", "ACTIVE", "ACTIVE", "ARCHIVED", "ALL")
	if err != nil {
		return err
	}
	// Reading what anybody may read is weaker than any permission one can have.
	nothing := state != "AVAILABLE" || archived == "ARCHIVED" || (need != "" && (c.caller.Anonymous() || !c.caller.Covers(rights.Permission(need))))
	if need == "" {
		need = string(rights.RepoRead)
	}
	if nothing {
		return c.json(http.StatusOK, pageOf(w, []restRepository{}, false))
	}
	return a.listRepositories(c, w, catalog.RepositoryFilter{
		Rank: rights.Permission(need).Rank(), Visibility: catalog.Visibility(visibility),
		Name:        strings.TrimSpace(c.QueryParam("name")),
		ProjectName: strings.TrimSpace(c.QueryParam("projectname")),
		ProjectKey:  strings.TrimSpace(c.QueryParam("projectkey")),
	})
}

func (a *API) handleListProjectRepositories(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	p, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), "")
	if err != nil {
		return err
	}
	return a.listRepositories(c, w, catalog.RepositoryFilter{Rank: rights.RepoRead.Rank(), Project: p.ID})
}

func (a *API) listRepositories(c *call, w window, filter catalog.RepositoryFilter) error {
	var err error
	if filter.Viewer, err = a.judge.Viewer(c.ctx(), c.caller); err != nil {
		return err
	}
	list, more, err := a.Catalog.Repositories(c.ctx(), filter, catalog.Page(w))
	if err != nil {
		return err
	}
	answers := make([]restRepository, len(list))
	for i, r := range list {
		if answers[i], err = a.withOrigin(c, r); err != nil {
			return err
		}
	}
	return c.json(http.StatusOK, pageOf(w, answers, more))
}

func (a *API) handleCreateRepository(c *call) error {
	p, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), rights.ProjectAdmin)
	if err != nil {
		return err
	}
	var body repositoryBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.SCM != nil && !strings.EqualFold(*body.SCM, "git") {
		return domain.Invalid("scmId", "The only SCM is git.")
	}
	number, err := a.Log.NextID(c.ctx(), "repository")
	if err != nil {
		return err
	}
	id := domain.RepositoryID(number)
	command := repository.Command(repository.Create{
		ID: id, Storage: uuid.NewString(), Project: p.ID, Name: value(body.Name), DefaultBranch: value(body.DefaultBranch),
		Settings: repository.Settings{
			Description: value(body.Description), Public: value(body.Public), Forkable: body.Forkable == nil || *body.Forkable,
		},
	})
	if err := execute(a, c, domain.RepositoryStream(id), repository.Evolve, repository.Decide, command); err != nil {
		return err
	}
	return a.answerRepository(c, id)
}

// answerRepository answers with what has become of a repository, and where it is.
func (a *API) answerRepository(c *call, id domain.RepositoryID) error {
	r, err := a.Catalog.RepositoryByID(c.ctx(), id)
	if err != nil {
		return err
	}
	answer, err := a.withOrigin(c, r)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", answer.Links.Self[0].Href)
	return c.json(http.StatusCreated, answer)
}

func (a *API) handleGetRepository(c *call) error {
	r, err := a.repository(c, rights.RepoRead)
	if err != nil {
		return err
	}
	answer, err := a.withOrigin(c, r)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, answer)
}

func (a *API) handleUpdateRepository(c *call) error {
	r, err := a.repository(c, rights.RepoAdmin)
	if err != nil {
		return err
	}
	var body repositoryBody
	if err := c.decode(&body); err != nil {
		return err
	}
	update := repository.Update{
		Name: body.Name, Description: body.Description, DefaultBranch: body.DefaultBranch, Public: body.Public, Forkable: body.Forkable,
	}
	// Clients send back the whole repository, so that its own project is no move.
	if body.Project != nil && body.Project.Key != "" && !strings.EqualFold(body.Project.Key, r.Project.Key) {
		target, err := a.judge.Project(c.ctx(), c.caller, body.Project.Key, rights.ProjectAdmin)
		if err != nil {
			return err
		}
		update.Project = &target.ID
	}
	if err := execute(a, c, domain.RepositoryStream(r.ID), repository.Evolve, repository.Decide, repository.Command(update)); err != nil {
		return err
	}
	return a.answerRepository(c, r.ID)
}

func (a *API) handleDeleteRepository(c *call) error {
	r, err := a.repository(c, rights.RepoAdmin)
	if absent(err) {
		return c.none() // what is not there is deleted already
	}
	if err != nil {
		return err
	}
	if err := deleteTarget(a, c, rights.Target{Repository: r.ID}, repository.Evolve, repository.Decide, repository.Command(repository.Delete{})); err != nil {
		return err
	}
	return c.json(http.StatusAccepted, restError{Message: "Repository scheduled for deletion."})
}
