package rest

import (
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs/restore"
)

func (a *API) restoreRoutes() []route {
	return []route{{
		method: http.MethodPost, path: annalPath + "/projects/{projectKey}/repos/{repositorySlug}/restore",
		summary: "Bring the refs and the default branch of a repository, or one ref, back to what they were at a position of the log or a time",
		handle:  a.handleRestoreRefs, body: restoreRefsBody{}, answer: restRestore{},
	}}
}

type restoreRefsBody struct {
	At     string `json:"at"`     // a position of the log or a time
	Ref    string `json:"ref"`    // full name; "" means all refs and the default branch
	DryRun bool   `json:"dryRun"` // only say what would be done
}

type restRestore struct {
	Position      int64                    `json:"position"` // of the event whose state was restored
	DryRun        bool                     `json:"dryRun"`
	DefaultBranch *restDefaultBranchChange `json:"defaultBranch"` // null if it stays
	Changes       []restRestoredRefChange  `json:"changes"`
}

type restDefaultBranchChange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type restRestoredRefChange struct {
	RefID    string `json:"refId"`
	FromHash string `json:"fromHash"`
	ToHash   string `json:"toHash"`
	Type     string `json:"type"`   // ADD, UPDATE or DELETE
	Forced   bool   `json:"forced"` // commits are reachable in the past only from now on
}

func (a *API) handleRestoreRefs(c *call) error {
	r, err := a.open(c, rights.RepoAdmin)
	if err != nil {
		return err
	}
	var body restoreRefsBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.At == "" {
		return domain.Invalid("at", "Say to which position of the log or time the repository shall be brought back.")
	}
	then, err := a.Snapshots.At(c.ctx(), r.ID, body.At)
	if err != nil {
		return err
	}
	push, err := a.Restores.Plan(c.ctx(), r.Snapshot, then, body.Ref)
	if err != nil {
		return err
	}
	answer := restRestore{Position: then.Position, DryRun: body.DryRun, Changes: convert(push.Updates, restoredChange)}
	if push.DefaultBranch != "" {
		answer.DefaultBranch = &restDefaultBranchChange{From: r.Head, To: push.DefaultBranch}
	}
	if !body.DryRun && changesAnything(push) {
		push, err := a.judged(c, r, push)
		if err != nil {
			return err
		}
		results, err := a.push(c, r, push)
		if err != nil {
			return err
		}
		if err := restore.Refused(results); err != nil {
			return err
		}
	}
	return c.json(http.StatusOK, answer)
}

func changesAnything(push repository.PushRefs) bool {
	return len(push.Updates) > 0 || push.DefaultBranch != ""
}

func restoredChange(u git.RefUpdate) restRestoredRefChange {
	kind := "UPDATE"
	if u.IsCreate() {
		kind = "ADD"
	} else if u.IsDelete() {
		kind = "DELETE"
	}
	return restRestoredRefChange{RefID: u.Name, FromHash: u.Old.String(), ToHash: u.New.String(), Type: kind, Forced: u.Forced}
}
