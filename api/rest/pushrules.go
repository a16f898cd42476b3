package rest

import (
	"net/http"

	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/rules"
)

func (a *API) pushRuleRoutes() []route {
	var routes []route
	for _, level := range ruleLevels {
		path := annalPath + level.path + "/push-rules"
		routes = append(routes,
			route{
				method: http.MethodGet, path: path, summary: "Get the push rules of " + level.of + ", and those that hold",
				handle: a.getPushRules(level), answer: restPushRules{},
			},
			route{
				method: http.MethodPut, path: path, summary: "Replace the push rules of " + level.of + "; those left out are as the project has them, or off",
				handle: a.setPushRules(level), body: rules.PushRules{}, answer: restPushRules{},
			})
	}
	return routes
}

type restPushRules struct {
	Scope     restScope       `json:"scope"`
	Own       rules.PushRules `json:"own"`
	Effective rules.PushRules `json:"effective"`
}

func (r ruled) pushRules() restPushRules {
	answer := restPushRules{Scope: scopeOf(r.Target), Effective: rules.EffectivePushRules(r.above, r.own)}
	if r.own != nil {
		answer.Own = r.own.Push
	}
	return answer
}

func (a *API) getPushRules(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, rights.ProjectRead)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, r.pushRules())
	}
}

func (a *API) setPushRules(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		var body rules.PushRules
		if err := c.decode(&body); err != nil {
			return err
		}
		state, err := a.decideRules(c, r.Target, rules.SetPushRules{Change: func(p *rules.PushRules) { *p = body }})
		if err != nil {
			return err
		}
		r.own = &state
		return c.json(http.StatusOK, r.pushRules())
	}
}
