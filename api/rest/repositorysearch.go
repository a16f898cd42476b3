package rest

import (
	"net/http"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/projections/reposearch"
)

func (a *API) repositorySearchRoutes() []route {
	return []route{{
		method: http.MethodGet, path: annalPath + "/repositories",
		summary: "Find repositories by a part of their name, the closest first",
		handle:  a.handleSearchRepositories, query: []string{"name", "limit"}, answer: restFoundRepositories{},
	}}
}

type restFoundRepositories struct {
	Values   []restRepository `json:"values"`
	Position int64            `json:"position"` // up to which the log has been read
}

// maxCandidates bounds how many names are looked at for one search.
const maxCandidates = 1000

func (a *API) handleSearchRepositories(c *call) error {
	w, err := c.window(100)
	if err != nil {
		return err
	}
	name := c.QueryParam("name")
	if name == "" {
		return domain.Invalid("name", "The parameter \"name\" must hold a part of the name.")
	}
	viewer, err := a.judge.Viewer(c.ctx(), c.caller)
	if err != nil {
		return err
	}
	answer := restFoundRepositories{Values: []restRepository{}}
	if answer.Position, err = a.Checkpoints.Position(c.ctx(), reposearch.Projection{}.Name()); err != nil {
		return err
	}
	candidates, err := a.Names.ByName(c.ctx(), name, maxCandidates)
	if err != nil {
		return err
	}
	_, readable, err := a.Catalog.Readable(c.ctx(), viewer, nil, candidates)
	if err != nil {
		return err
	}
	for _, id := range candidates {
		if !readable[id] || len(answer.Values) == w.Limit {
			continue
		}
		found, err := a.Catalog.RepositoryByID(c.ctx(), id)
		if absent(err) {
			continue // deleted since the names were read
		}
		if err != nil {
			return err
		}
		answer.Values = append(answer.Values, a.restRepository(found))
	}
	return writeJSON(c, http.StatusOK, answer)
}
