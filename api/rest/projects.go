package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/catalog"
)

func (a *API) projectRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: apiPath + "/projects", summary: "List the projects that the caller may see",
			handle: a.handleListProjects, query: []string{"name", "permission"}, paged: true, answer: restProject{},
		},
		{
			method: http.MethodPost, path: apiPath + "/projects", summary: "Create a project",
			handle: a.handleCreateProject, body: projectBody{}, answer: restProject{}, status: http.StatusCreated,
		},
		{method: http.MethodGet, path: projectPath, summary: "Get a project", handle: a.handleGetProject, answer: restProject{}},
		{
			method: http.MethodPut, path: projectPath, summary: "Change a project; 201 if its key changed",
			handle: a.handleUpdateProject, body: projectBody{}, answer: restProject{},
		},
		{method: http.MethodDelete, path: projectPath, summary: "Delete a project without repositories", handle: a.handleDeleteProject},
	}
}

type restProject struct {
	Key         string `json:"key"`
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Public      bool   `json:"public"`
	Type        string `json:"type"`
	Links       links  `json:"links"`
}

type projectBody struct {
	Key         *string `json:"key"`
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Public      *bool   `json:"public"`
}

func (a *API) restProject(p catalog.Project) restProject {
	return restProject{
		Key: p.Key, ID: int64(p.ID), Name: p.Name, Description: p.Description, Public: p.Public, Type: "NORMAL",
		Links: links{Self: []link{{Href: a.page("projects", p.Key)}}},
	}
}

// projectView stands for seeing a project, which reading one of its repositories is
// enough for. It is asked for by this name and never granted.
const projectView = "PROJECT_VIEW"

func (a *API) handleListProjects(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	need, err := c.choice("permission", projectView, projectView,
		string(rights.ProjectRead), string(rights.ProjectWrite), string(rights.ProjectAdmin))
	if err != nil {
		return err
	}
	if need != projectView && !c.caller.Covers(rights.Permission(need)) {
		return c.json(http.StatusOK, pageOf(w, []restProject{}, false))
	}
	viewer, err := a.judge.Viewer(c.ctx(), c.caller)
	if err != nil {
		return err
	}
	list, more, err := a.Catalog.Projects(c.ctx(), catalog.ProjectFilter{
		Viewer: viewer, Rank: rights.Permission(need).Rank(), Name: strings.TrimSpace(c.QueryParam("name")),
	}, catalog.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, a.restProject), more))
}

func (a *API) handleCreateProject(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.ProjectCreate); err != nil {
		return err
	}
	var body projectBody
	if err := c.decode(&body); err != nil {
		return err
	}
	id, err := a.Log.NextID(c.ctx(), "project")
	if err != nil {
		return err
	}
	settings := project.Settings{
		Key: value(body.Key), Name: value(body.Name), Description: value(body.Description), Public: value(body.Public),
	}
	created, err := project.Decide(project.State{}, project.Create{ID: domain.ProjectID(id), Settings: settings})
	if err != nil {
		return err
	}
	// Whoever makes a project administers it.
	granted, err := rights.Decide(nil, rights.Grant{
		User: c.caller.User.ID, Permission: rights.ProjectAdmin, Target: rights.Target{Project: domain.ProjectID(id)},
	})
	if err != nil {
		return err
	}
	_, err = a.Log.Append(c.ctx(), eventstore.Proposal{
		Stream: domain.ProjectStream(domain.ProjectID(id)), Expect: 0, Events: append(created, granted...), Meta: c.meta,
	})
	if err != nil {
		return err
	}
	made, err := a.Catalog.ProjectByID(c.ctx(), domain.ProjectID(id))
	if err != nil {
		return err
	}
	answer := a.restProject(made)
	c.Response().Header().Set("Location", answer.Links.Self[0].Href)
	return c.json(http.StatusCreated, answer)
}

func (a *API) handleGetProject(c *call) error {
	p, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), "")
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restProject(p))
}

func (a *API) handleUpdateProject(c *call) error {
	p, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), rights.ProjectAdmin)
	if err != nil {
		return err
	}
	var body projectBody
	if err := c.decode(&body); err != nil {
		return err
	}
	command := project.Command(project.Update(body))
	if err := execute(a, c, domain.ProjectStream(p.ID), project.Evolve, project.Decide, command); err != nil {
		return err
	}
	updated, err := a.Catalog.ProjectByID(c.ctx(), p.ID)
	if err != nil {
		return err
	}
	if updated.Key != p.Key {
		return c.json(http.StatusCreated, a.restProject(updated))
	}
	return c.json(http.StatusOK, a.restProject(updated))
}

func (a *API) handleDeleteProject(c *call) error {
	p, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), rights.ProjectAdmin)
	if err != nil {
		return err
	}
	if err := deleteTarget(a, c, rights.Target{Project: p.ID}, project.Evolve, project.Decide, project.Command(project.Delete{})); err != nil {
		return err
	}
	return c.none()
}

// value is what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
