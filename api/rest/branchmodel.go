package rest

import (
	"net/http"
	"strings"

	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/rules"
)

const branchUtilsPath = "/rest/branch-utils/1.0"

func (a *API) branchModelRoutes() []route {
	var routes []route
	for _, api := range []string{branchUtilsPath, apiPath} {
		for _, level := range ruleLevels {
			path := api + level.path + "/branchmodel/configuration"
			routes = append(routes,
				route{
					method: http.MethodGet, path: path, summary: "Get how the branch model of " + level.of + " is configured",
					handle: a.getModel(level), answer: restModelConfiguration{}, variant: true,
				},
				route{
					method: http.MethodPut, path: path, summary: "Configure the branch model of " + level.of,
					handle: a.setModel(level), body: modelBody{}, answer: restModelConfiguration{}, variant: true,
				},
				route{
					method: http.MethodDelete, path: path, summary: "Take back the configuration of the branch model of " + level.of,
					handle: a.removeModel(level), variant: true,
				})
		}
		routes = append(routes, route{
			method: http.MethodGet, path: api + ruleLevels[1].path + "/branchmodel", summary: "Get the branch model of a repository",
			handle: a.handleGetBranchModel, answer: restModel{}, variant: true,
		})
	}
	return routes
}

// restModel is a branch model with the branches that there are.
type restModel struct {
	Development *restBranch    `json:"development,omitempty"`
	Production  *restBranch    `json:"production,omitempty"`
	Types       []restCategory `json:"types"`
}

type restCategory struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Prefix      string `json:"prefix"`
}

type restModelConfiguration struct {
	Scope       restScope                `json:"scope"`
	Development restModelRef             `json:"development"`
	Production  *restModelRef            `json:"production,omitempty"`
	Types       []restConfiguredCategory `json:"types"`
}

type restModelRef struct {
	RefID      *string `json:"refId"` // null if it is the default branch
	UseDefault bool    `json:"useDefault"`
}

type restConfiguredCategory struct {
	restCategory
	Enabled bool `json:"enabled"`
}

type modelBody struct {
	Development *restModelRef `json:"development"`
	Production  *restModelRef `json:"production"`
	Types       []struct {
		ID      string `json:"id"`
		Enabled *bool  `json:"enabled"`
		Prefix  string `json:"prefix"`
	} `json:"types"`
}

// categoryName is what people read for BUGFIX.
func categoryName(id string) string { return id[:1] + strings.ToLower(id[1:]) }

func newRestModelRef(r rules.ModelRef) restModelRef {
	return restModelRef{RefID: nullable(r.Ref), UseDefault: r.UseDefault}
}

func newRestModelConfiguration(scope restScope, m rules.Model) restModelConfiguration {
	answer := restModelConfiguration{Scope: scope, Development: newRestModelRef(m.Development), Types: []restConfiguredCategory{}}
	if m.Production != nil {
		production := newRestModelRef(*m.Production)
		answer.Production = &production
	}
	for _, c := range m.Categories {
		answer.Types = append(answer.Types, restConfiguredCategory{restCategory{c.ID, categoryName(c.ID), c.Prefix}, c.Enabled})
	}
	return answer
}

// modelOf is the branch model that holds for a target, and whose it is.
func (r ruled) modelOf() restModelConfiguration {
	scope := scopeOf(r.Target)
	if r.Repository != 0 && (r.own == nil || r.own.Model == nil) && r.above != nil && r.above.Model != nil {
		scope = scopeOf(r.aboveTarget())
	}
	return newRestModelConfiguration(scope, rules.EffectiveModel(r.above, r.own))
}

func (a *API) getModel(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, rights.ProjectRead)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, r.modelOf())
	}
}

func (a *API) setModel(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		var body modelBody
		if err := c.decode(&body); err != nil {
			return err
		}
		model := rules.Model{Development: rules.ModelRef{UseDefault: true}}
		if body.Development != nil {
			model.Development = body.Development.model()
		}
		if body.Production != nil {
			production := body.Production.model()
			model.Production = &production
		}
		for _, c := range body.Types {
			model.Categories = append(model.Categories, rules.Category{ID: c.ID, Prefix: c.Prefix, Enabled: c.Enabled == nil || *c.Enabled})
		}
		state, err := a.decideRules(c, r.Target, rules.SetModel{Model: &model})
		if err != nil {
			return err
		}
		r.own = &state
		return c.json(http.StatusOK, r.modelOf())
	}
}

func (r restModelRef) model() rules.ModelRef {
	return rules.ModelRef{Ref: value(r.RefID), UseDefault: r.UseDefault}
}

func (a *API) removeModel(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		if _, err := a.decideRules(c, r.Target, rules.SetModel{}); err != nil {
			return err
		}
		return c.none()
	}
}

func (a *API) handleGetBranchModel(c *call) error {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	own, err := a.Rules.State(c.ctx(), rules.Target{Repository: r.Repository.ID})
	if err != nil {
		return err
	}
	above, err := a.Rules.State(c.ctx(), rules.Target{Project: r.Project.ID})
	if err != nil {
		return err
	}
	model := rules.EffectiveModel(above, own)
	answer := restModel{Types: []restCategory{}}
	find := func(id string) *restBranch {
		ref, ok := r.Refs.Get(model.Branch(id, r.Head))
		if !ok {
			return nil
		}
		b := branch(r, ref)
		return &b
	}
	answer.Development, answer.Production = find(rules.Development), find(rules.Production)
	for _, c := range model.Categories {
		if c.Enabled {
			answer.Types = append(answer.Types, restCategory{c.ID, categoryName(c.ID), c.Prefix})
		}
	}
	return c.json(http.StatusOK, answer)
}
