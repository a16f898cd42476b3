package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/catalog"
)

func (a *API) eventRoutes() []route {
	return []route{{
		method: http.MethodGet, path: annalPath + "/events",
		summary: "Read the log after a position: all of it for system administrators, for others what they may read",
		handle:  a.handleListEvents, query: []string{"after", "limit"}, answer: restEvents{},
	}}
}

// restEvents is a part of the log. Reading on from Next misses nothing and repeats
// nothing, also where some events are hidden from the caller.
type restEvents struct {
	Values []restEvent `json:"values"`
	Next   int64       `json:"next"` // what to ask for as "after" next
	Head   int64       `json:"head"` // position of the newest event
}

type restEvent struct {
	Position int64           `json:"position"`
	Stream   string          `json:"stream"`
	Version  int64           `json:"version"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	At       string          `json:"at"`   // RFC 3339
	Body     json.RawMessage `json:"body"` // as stored, without personal data
	Meta     json.RawMessage `json:"meta"`
}

func (a *API) handleListEvents(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	after, err := c.position("after")
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	head, err := a.Log.Head(c.ctx())
	if err != nil {
		return err
	}
	stored, err := a.Log.ReadStored(c.ctx(), after, w.Limit)
	if err != nil {
		return err
	}
	may, err := a.mayReadEvents(c, stored)
	if err != nil {
		return err
	}
	answer := restEvents{Values: []restEvent{}, Next: after, Head: head}
	for _, e := range stored {
		answer.Next, answer.Head = e.Position, max(answer.Head, e.Position)
		if may(e.Stream) {
			answer.Values = append(answer.Values, restEvent{
				Position: e.Position, Stream: string(e.Stream), Version: e.Version, ID: e.ID, Type: e.Type,
				At: e.At.UTC().Format(time.RFC3339Nano), Body: e.Body, Meta: e.Meta,
			})
		}
	}
	return c.json(http.StatusOK, answer)
}

// mayReadEvents judges for all streams of a page at once. Projects and repositories
// are read by those who may read them now; a user's stream by himself; everything
// else, such as what was deleted, by system administrators only.
func (a *API) mayReadEvents(c *call, page []eventstore.Stored) (func(domain.Stream) bool, error) {
	err := a.judge.Global(c.ctx(), c.caller, rights.SysAdmin)
	if err == nil {
		return func(domain.Stream) bool { return true }, nil
	}
	if denied := (*permission.DeniedError)(nil); !errors.As(err, &denied) {
		return nil, err
	}
	viewer, err := a.judge.Viewer(c.ctx(), c.caller)
	if err != nil {
		return nil, err
	}
	var projects []domain.ProjectID
	var repositories []domain.RepositoryID
	for _, e := range page {
		switch kind, id := splitStream(e.Stream); kind {
		case "project":
			projects = append(projects, domain.ProjectID(id))
		case "repository", "lfs":
			repositories = append(repositories, domain.RepositoryID(id))
		}
	}
	return a.readable(c, viewer, projects, repositories)
}

func (a *API) readable(c *call, viewer catalog.Viewer, projects []domain.ProjectID, repositories []domain.RepositoryID) (func(domain.Stream) bool, error) {
	readableProjects, readableRepositories, err := a.Catalog.Readable(c.ctx(), viewer, projects, repositories)
	if err != nil {
		return nil, err
	}
	return func(stream domain.Stream) bool {
		switch kind, id := splitStream(stream); kind {
		case "project":
			return readableProjects[domain.ProjectID(id)] && c.caller.Covers(rights.ProjectRead)
		case "repository", "lfs":
			return readableRepositories[domain.RepositoryID(id)] && c.caller.Covers(rights.RepoRead)
		case "user":
			return domain.UserID(id) == c.caller.User.ID
		}
		return false
	}, nil
}

func splitStream(stream domain.Stream) (kind string, id int64) {
	kind, number, _ := strings.Cut(string(stream), "/")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return "", 0
	}
	return kind, id
}
