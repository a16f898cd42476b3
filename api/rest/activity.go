package rest

import (
	"net/http"
	"time"

	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/projections/activity"
)

func (a *API) activityRoutes() []route {
	return []route{{
		method: http.MethodGet, path: annalPath + "/projects/{projectKey}/repos/{repositorySlug}/activity",
		summary: "What happened to a repository, newest first, before a position",
		handle:  a.handleListActivity, query: []string{"before", "limit"}, answer: restActivities{},
	}}
}

// restActivities is followed from the log: Position says how far.
type restActivities struct {
	Values   []restActivity `json:"values"`
	Position int64          `json:"position"`
}

type restActivity struct {
	Position int64  `json:"position"` // of the event
	At       string `json:"at"`       // RFC 3339
	Actor    int64  `json:"actor"`    // user id, 0 for none
	Type     string `json:"type"`
	Refs     int    `json:"refs"`   // refs that a push moved
	Forced   int    `json:"forced"` // those of them that lost commits
}

func (a *API) handleListActivity(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	before, err := c.position("before")
	if err != nil {
		return err
	}
	r, err := a.repository(c, rights.RepoRead)
	if err != nil {
		return err
	}
	// The checkpoint first: the rows are at least as new as what it says.
	position, err := a.Checkpoints.Position(c.ctx(), activity.Projection{}.Name())
	if err != nil {
		return err
	}
	list, err := a.Activity.Latest(c.ctx(), r.ID, before, w.Limit)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, restActivities{Position: position, Values: convert(list, func(e activity.Activity) restActivity {
		return restActivity{
			Position: e.Position, At: e.At.UTC().Format(time.RFC3339Nano), Actor: int64(e.Actor), Type: e.Type, Refs: e.Refs, Forced: e.Forced,
		}
	})})
}
