package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/gitfs/maintenance"
)

// Maintenance tells how maintenance of a repository's packs stands, and takes requests
// for it.
type Maintenance interface {
	State(ctx context.Context, repository domain.RepositoryID) (maintenance.State, error)
	Request(ctx context.Context, repository domain.RepositoryID) error
}

func (a *API) repositoryMaintenanceRoutes() []route {
	const path = annalPath + "/projects/{projectKey}/repos/{repositorySlug}/maintenance"
	return []route{{
		method: http.MethodGet, path: path,
		summary: "How the packs of a repository are maintained",
		handle:  a.handleGetRepositoryMaintenance, answer: restRepositoryMaintenance{},
	}, {
		method: http.MethodPost, path: path,
		summary: "Ask for all packs of a repository to be combined now",
		handle:  a.handleRequestMaintenance, answer: restRepositoryMaintenance{}, status: http.StatusAccepted,
	}}
}

type restRepositoryMaintenance struct {
	Packs     int    `json:"packs"`
	Objects   int64  `json:"objects"` // one that is in two packs counts twice
	Bytes     int64  `json:"bytes"`
	Bitmap    bool   `json:"bitmap"`
	Unlisted  int    `json:"unlisted"` // packs and other files that are on their way out of the shared home
	Running   bool   `json:"running"`
	Requested string `json:"requested,omitempty"` // RFC 3339, as all times
	Started   string `json:"started,omitempty"`
	Finished  string `json:"finished,omitempty"`
	Full      string `json:"full,omitempty"` // when all packs were last combined
	Node      string `json:"node,omitempty"`
	Job       string `json:"job,omitempty"`
	Outcome   string `json:"outcome,omitempty"`
	Failures  int    `json:"failures"` // in a row
}

func (a *API) handleGetRepositoryMaintenance(c *call) error {
	r, err := a.repository(c, rights.RepoAdmin)
	if err != nil {
		return err
	}
	return a.answerMaintenance(c, r.ID, http.StatusOK)
}

func (a *API) handleRequestMaintenance(c *call) error {
	r, err := a.repository(c, rights.RepoAdmin)
	if err != nil {
		return err
	}
	if err := a.Maintenance.Request(c.ctx(), r.ID); err != nil {
		return err
	}
	return a.answerMaintenance(c, r.ID, http.StatusAccepted)
}

func (a *API) answerMaintenance(c *call, id domain.RepositoryID, status int) error {
	s, err := a.Maintenance.State(c.ctx(), id)
	if err != nil {
		return err
	}
	return writeJSON(c, status, restRepositoryMaintenance{
		Packs: s.Packs, Objects: s.Objects, Bytes: s.Bytes, Bitmap: s.Bitmap, Unlisted: s.Unlisted, Running: s.Running(),
		Requested: timeOrNone(s.Requested), Started: timeOrNone(s.Started), Finished: timeOrNone(s.Finished), Full: timeOrNone(s.Full),
		Node: s.Node, Job: s.Job, Outcome: s.Outcome, Failures: s.Failures,
	})
}

func timeOrNone(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
