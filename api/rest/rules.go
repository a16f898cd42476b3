package rest

import (
	"context"
	"strconv"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/eventstore"
)

// Refusals is told what rules of a repository and permissions have refused.
type Refusals interface {
	Refused(ctx context.Context, id domain.RepositoryID, meta domain.Metadata, refusals []rules.Refusal)
	// Denied is told of every request that fails; it looks for those that a permission would have
	// let through.
	Denied(ctx context.Context, caller credentials.Caller, err error)
}

// ruled is a project or repository as those know it who manage its rules.
type ruled struct {
	rules.Target
	project domain.ProjectID // that a repository is in
	own     *rules.State     // nil if it has none
	above   *rules.State     // of the project that a repository is in
}

// ruleLevels are the two kinds of targets, with what the paths of their routes begin with
// below an API's own.
var ruleLevels = []ruleLevel{
	{"/projects/{projectKey}", "a project", false},
	{"/projects/{projectKey}/repos/{repositorySlug}", "a repository", true},
}

type ruleLevel struct {
	path, of   string
	repository bool
}

// ruled finds the target that the path names, with its rules as they are. Whoever manages
// them administers it; to read those of a project takes the permission reading, if that is
// not "".
func (a *API) ruled(c *call, level ruleLevel, reading rights.Permission) (r ruled, err error) {
	need := rights.ProjectAdmin
	if level.repository {
		found, err := a.repository(c, rights.RepoAdmin)
		if err != nil {
			return r, err
		}
		r.Target, r.project = rules.Target{Repository: found.ID}, found.Project.ID
		if r.above, err = a.Rules.State(c.ctx(), rules.Target{Project: r.project}); err != nil {
			return r, err
		}
	} else {
		if reading != "" {
			need = reading
		}
		found, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), need)
		if err != nil {
			return r, err
		}
		r.Target, r.project = rules.Target{Project: found.ID}, found.ID
	}
	r.own, err = a.Rules.State(c.ctx(), r.Target)
	return r, err
}

// aboveTarget is the project of a repository.
func (r ruled) aboveTarget() rules.Target { return rules.Target{Project: r.project} }

// decideRules has a command about rules decided, and returns what they are now.
func (a *API) decideRules(c *call, t rules.Target, command rules.Command) (rules.State, error) {
	state, _, err := eventstore.Execute(c.ctx(), a.Log, t.Stream(), rules.Evolve, c.meta, func(s rules.State) ([]domain.Event, error) {
		return rules.Decide(s, t, command)
	})
	return state, err
}

// restScope says whose a rule is.
type restScope struct {
	Type       string `json:"type"`
	ResourceID int64  `json:"resourceId"`
}

func scopeOf(t rules.Target) restScope {
	if t.Repository != 0 {
		return restScope{"REPOSITORY", int64(t.Repository)}
	}
	return restScope{"PROJECT", int64(t.Project)}
}

// ruleID reads the number of a rule from the path.
func (c *call) ruleID(what string) (int64, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return 0, noRule(what)
	}
	return id, nil
}

func noRule(what string) error {
	return domain.NotFound("rule", "There is no such %s.", what)
}

// judged fills in by whom a push over REST is.
func (a *API) judged(c *call, r repositoryAt, push repository.PushRefs) (repository.PushRefs, error) {
	demanded, err := r.Demands(c.ctx())
	if err != nil {
		return push, err
	}
	push.By, err = a.judge.Pusher(c.ctx(), c.caller, r.Project.Key, r.Slug, demanded)
	return push, err
}
