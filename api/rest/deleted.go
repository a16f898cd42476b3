package rest

import (
	"net/http"
	"strconv"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/projections/catalog"
)

func (a *API) deletedRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: annalPath + "/deleted-repositories", summary: "List the repositories that can be restored",
			handle: a.handleListDeleted, paged: true, answer: restRepository{},
		},
		{
			method: http.MethodPost, path: annalPath + "/deleted-repositories/{repositoryId}/restore",
			summary: "Restore a deleted repository, under another name or in another project if given",
			handle:  a.handleRestore, body: restoreBody{}, answer: restRepository{}, status: http.StatusCreated,
		},
	}
}

type restoreBody struct {
	Name    *string        `json:"name"`
	Project *projectKeyRef `json:"project"`
}

func (a *API) handleListDeleted(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	list, more, err := a.Catalog.DeletedRepositories(c.ctx(), catalog.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, a.restRepository), more))
}

func (a *API) handleRestore(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	number, err := strconv.ParseInt(c.Param("repositoryId"), 10, 64)
	if err != nil {
		return domain.NotFound("repository", "There is no such deleted repository.")
	}
	id := domain.RepositoryID(number)
	if _, err := a.Catalog.DeletedRepository(c.ctx(), id); err != nil {
		return err
	}
	var body restoreBody
	if c.Request().ContentLength != 0 {
		if err := c.decode(&body); err != nil {
			return err
		}
	}
	restore := repository.Restore{Name: value(body.Name)}
	if body.Project != nil && body.Project.Key != "" {
		target, err := a.Catalog.Project(c.ctx(), body.Project.Key)
		if err != nil {
			return err
		}
		restore.Project = target.ID
	}
	if err := execute(a, c, domain.RepositoryStream(id), repository.Evolve, repository.Decide, repository.Command(restore)); err != nil {
		return err
	}
	return a.answerRepository(c, id)
}
