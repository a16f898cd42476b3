package rest

import (
	"net/http"
	"slices"
	"strings"

	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/rules"
)

// secretRuleKind is one of the two lists of rules about secrets.
type secretRuleKind struct {
	path, of string
	list     func(s rules.State) []rules.SecretRule
	set      func(r rules.SecretRule, exists bool) rules.Command
	remove   func(id int64) rules.Command
}

var secretRuleKinds = []secretRuleKind{
	{
		"/secret-scanning/rules", "rules that tell secrets",
		func(s rules.State) []rules.SecretRule { return s.SecretRules },
		func(r rules.SecretRule, exists bool) rules.Command {
			return rules.SetSecretRule{Rule: r, Exists: exists}
		},
		func(id int64) rules.Command { return rules.RemoveSecretRule{ID: id} },
	},
	{
		"/secret-scanning/allowlist", "rules that tell what is no secret",
		func(s rules.State) []rules.SecretRule { return s.Allowances },
		func(r rules.SecretRule, exists bool) rules.Command {
			return rules.SetAllowance{Rule: r, Exists: exists}
		},
		func(id int64) rules.Command { return rules.RemoveAllowance{ID: id} },
	},
}

func (a *API) secretRuleRoutes() []route {
	var routes []route
	for _, level := range ruleLevels {
		for _, kind := range secretRuleKinds {
			path, of := apiPath+level.path+kind.path, kind.of+" of "+level.of
			routes = append(routes,
				route{
					method: http.MethodGet, path: path, summary: "List the " + of,
					handle: a.listSecretRules(level, kind), query: []string{"filter", "order"}, paged: true, answer: restSecretRule{},
				},
				route{method: http.MethodPost, path: path, summary: "Make one of the " + of, handle: a.createSecretRule(level, kind), body: secretRuleBody{}, answer: restSecretRule{}},
				route{method: http.MethodGet, path: path + "/{id}", summary: "Get one of the " + of, handle: a.getSecretRule(level, kind), answer: restSecretRule{}},
				route{method: http.MethodPut, path: path + "/{id}", summary: "Change one of the " + of, handle: a.updateSecretRule(level, kind), body: secretRuleBody{}, answer: restSecretRule{}},
				route{method: http.MethodDelete, path: path + "/{id}", summary: "Delete one of the " + of, handle: a.removeSecretRule(level, kind)})
		}
	}
	path := repositoryPath + "/secret-scanning/exempt"
	return append(routes,
		route{method: http.MethodGet, path: path, summary: "Get whether a repository is exempt from secret scanning", handle: a.handleGetExempt, answer: true},
		route{method: http.MethodPut, path: path, summary: "Exempt a repository from secret scanning", handle: a.handleSetExempt(true)},
		route{method: http.MethodDelete, path: path, summary: "Have a repository be scanned for secrets if its project is", handle: a.handleSetExempt(false)})
}

type restSecretRule struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	LineRegex string    `json:"lineRegex,omitempty"`
	PathRegex string    `json:"pathRegex,omitempty"`
	Scope     restScope `json:"scope"`
}

type secretRuleBody struct {
	Name      *string `json:"name"`
	LineRegex *string `json:"lineRegex"`
	PathRegex *string `json:"pathRegex"`
}

// over is a rule with what the body says in place of what it said before.
func (b secretRuleBody) over(r rules.SecretRule) rules.SecretRule {
	for _, field := range []struct {
		of   *string
		from *string
	}{{&r.Name, b.Name}, {&r.LineRegex, b.LineRegex}, {&r.PathRegex, b.PathRegex}} {
		if field.from != nil {
			*field.of = *field.from
		}
	}
	return r
}

func newRestSecretRule(t rules.Target, r rules.SecretRule) restSecretRule {
	return restSecretRule{ID: r.ID, Name: r.Name, LineRegex: r.LineRegex, PathRegex: r.PathRegex, Scope: scopeOf(t)}
}

func (a *API) listSecretRules(level ruleLevel, kind secretRuleKind) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		filter := strings.ToLower(c.QueryParam("filter"))
		var list []rules.SecretRule
		for _, rule := range kind.list(value(r.own)) {
			if strings.Contains(strings.ToLower(rule.Name), filter) {
				list = append(list, rule)
			}
		}
		order := c.QueryParam("order")
		slices.SortStableFunc(list, func(x, y rules.SecretRule) int {
			compared := strings.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name))
			if strings.HasPrefix(order, "-") || strings.EqualFold(order, "DESC") {
				return -compared
			}
			return compared
		})
		list, more := cut(w, list)
		return c.json(http.StatusOK, pageOf(w, convert(list, func(s rules.SecretRule) restSecretRule { return newRestSecretRule(r.Target, s) }), more))
	}
}

func (a *API) createSecretRule(level ruleLevel, kind secretRuleKind) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		var body secretRuleBody
		if err := c.decode(&body); err != nil {
			return err
		}
		rule := body.over(rules.SecretRule{})
		if rule.ID, err = a.Log.NextID(c.ctx(), "secret_rule"); err != nil {
			return err
		}
		if _, err := a.decideRules(c, r.Target, kind.set(rule, false)); err != nil {
			return err
		}
		return c.json(http.StatusOK, newRestSecretRule(r.Target, rule))
	}
}

// secretRule finds the rule that the path names.
func (a *API) secretRule(c *call, level ruleLevel, kind secretRuleKind) (r ruled, rule rules.SecretRule, err error) {
	if r, err = a.ruled(c, level, ""); err != nil {
		return r, rule, err
	}
	id, err := c.ruleID("rule")
	if err != nil {
		return r, rule, err
	}
	for _, rule := range kind.list(value(r.own)) {
		if rule.ID == id {
			return r, rule, nil
		}
	}
	return r, rule, noRule("rule")
}

func (a *API) getSecretRule(level ruleLevel, kind secretRuleKind) handler {
	return func(c *call) error {
		r, rule, err := a.secretRule(c, level, kind)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, newRestSecretRule(r.Target, rule))
	}
}

func (a *API) updateSecretRule(level ruleLevel, kind secretRuleKind) handler {
	return func(c *call) error {
		r, rule, err := a.secretRule(c, level, kind)
		if err != nil {
			return err
		}
		var body secretRuleBody
		if err := c.decode(&body); err != nil {
			return err
		}
		rule = body.over(rule)
		if _, err := a.decideRules(c, r.Target, kind.set(rule, true)); err != nil {
			return err
		}
		return c.json(http.StatusOK, newRestSecretRule(r.Target, rule))
	}
}

func (a *API) removeSecretRule(level ruleLevel, kind secretRuleKind) handler {
	return func(c *call) error {
		r, rule, err := a.secretRule(c, level, kind)
		if absent(err) && r.Target != (rules.Target{}) {
			return c.none() // what is not there is deleted already
		}
		if err != nil {
			return err
		}
		if _, err := a.decideRules(c, r.Target, kind.remove(rule.ID)); err != nil {
			return err
		}
		return c.none()
	}
}

// A repository is exempt if its own rule says that it is not scanned.

func (a *API) handleGetExempt(c *call) error {
	r, err := a.ruled(c, ruleLevels[1], "")
	if err != nil {
		return err
	}
	scan := value(r.own).Push.ScanSecrets
	return c.json(http.StatusOK, scan != nil && !*scan)
}

func (a *API) handleSetExempt(exempt bool) handler {
	return func(c *call) error {
		t, err := a.repository(c, rights.RepoAdmin)
		if err != nil {
			return err
		}
		_, err = a.decideRules(c, rules.Target{Repository: t.ID}, rules.SetPushRules{Change: func(p *rules.PushRules) {
			no := false
			switch {
			case exempt:
				p.ScanSecrets = &no
			case p.ScanSecrets != nil && !*p.ScanSecrets:
				p.ScanSecrets = nil
			}
		}})
		if err != nil {
			return err
		}
		return c.none()
	}
}
