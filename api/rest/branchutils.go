package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/projections/refs"
)

func (a *API) branchUtilsRoutes() []route {
	path := branchUtilsPath + "/projects/{projectKey}/repos/{repositorySlug}/branches"
	return []route{
		{
			method: http.MethodPost, path: path, summary: "Create a branch",
			handle: a.createBranch(http.StatusCreated), body: branchBody{}, answer: restBranch{}, status: http.StatusCreated,
		},
		{
			method: http.MethodDelete, path: path, summary: "Delete a branch; one that does not exist is deleted already",
			handle: a.handleDeleteBranch, body: deleteBranchBody{},
		},
	}
}

type deleteBranchBody struct {
	Name     string `json:"name"`
	EndPoint string `json:"endPoint"` // commit that the branch must be at, "" for any
	DryRun   bool   `json:"dryRun"`   // only say whether it could be deleted
}

func (a *API) handleDeleteBranch(c *call) error {
	r, err := a.open(c, rights.RepoWrite)
	if err != nil {
		return err
	}
	var body deleteBranchBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.Name == "" {
		return domain.Invalid("name", "The name of the branch is required.")
	}
	name := "refs/heads/" + strings.TrimPrefix(body.Name, "refs/heads/")
	ref, exists := r.Refs.Get(name)
	switch {
	case !exists:
		return c.none()
	case name == r.Head:
		return domain.Invalid("name", "%q is the default branch, which cannot be deleted.", git.ShortName(name))
	case body.EndPoint != "" && body.EndPoint != ref.ID.String():
		return domain.Invalid("endPoint", "The branch %q is at %s.", git.ShortName(name), ref.ID)
	}
	push, err := a.judged(c, r, repository.PushRefs{Updates: []git.RefUpdate{{Name: name, Old: ref.ID}}, Atomic: true})
	if err != nil {
		return err
	}
	if body.DryRun {
		demanded, err := r.Demands(c.ctx())
		if err != nil {
			return err
		}
		if refusal := demanded.Judge(push.By, push.Updates[0], r.Head); refusal != nil {
			return refusedByRule(refusal.Text)
		}
		return c.none()
	}
	results, err := a.push(c, r, push)
	if err != nil {
		return err
	}
	for _, result := range results {
		if !result.OK() {
			return domain.Conflict("name", "The branch %q moved meanwhile. Look at it, and try again.", git.ShortName(name))
		}
	}
	return c.none()
}

// push appends a push over REST. What a rule refuses is an error.
func (a *API) push(c *call, r repositoryAt, push repository.PushRefs) ([]git.RefResult, error) {
	results, err := refs.Push(c.ctx(), a.Log, r.Repository.ID, push, c.meta)
	if err != nil {
		return nil, err
	}
	var refusals []rules.Refusal
	for _, result := range results {
		if result.Rule != "" {
			refusals = append(refusals, rules.Refusal{Rule: result.Rule, Ref: result.Name, Text: result.Reason})
		}
	}
	if len(refusals) == 0 {
		return results, nil
	}
	if a.Refusals != nil {
		a.Refusals.Refused(c.ctx(), r.Repository.ID, c.meta, refusals)
	}
	const most = 5
	var texts []string
	for _, refusal := range refusals[:min(most, len(refusals))] {
		texts = append(texts, refusal.Text)
	}
	if len(refusals) > most {
		texts = append(texts, "and more")
	}
	return nil, refusedByRule(strings.Join(texts, "; "))
}

// refusedByRule is the answer to a caller whom a rule of the repository keeps from moving
// a ref that he may write otherwise.
func refusedByRule(text string) error {
	return &exceptionError{status: http.StatusUnauthorized, exception: exceptionAuthorisation, message: strings.ToUpper(text[:1]) + text[1:] + "."}
}
