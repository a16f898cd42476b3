package rest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/rules"
)

// hook is one of Bitbucket's bundled hooks: another way to a push rule.
type hook struct {
	key, name, description string
	// enabled is whether the rule is on, nil if it is as the project has it.
	enabled func(p rules.PushRules) *bool
	set     func(p *rules.PushRules, enabled *bool)
	// settings are what the rule goes by; configure is given them as a client sends them.
	settings  func(p rules.PushRules) map[string]any
	configure func(p *rules.PushRules, settings map[string]any) error
}

const hookPlugin = "com.atlassian.bitbucket.server.bitbucket-bundled-hooks:"

var hooks = []hook{
	{
		key: hookPlugin + "force-push-hook", name: "Reject Force Push", description: "Reject all force pushes (git push --force) to this repository.",
		enabled:  func(p rules.PushRules) *bool { return p.RejectForcePush },
		set:      func(p *rules.PushRules, enabled *bool) { p.RejectForcePush = enabled },
		settings: func(rules.PushRules) map[string]any { return map[string]any{} },
		configure: func(_ *rules.PushRules, settings map[string]any) error {
			return unknownSettings(settings)
		},
	},
	{
		key: hookPlugin + "verify-committer-hook", name: "Verify Committer", description: "Reject commits not committed by the user pushing to this repository.",
		enabled: func(p rules.PushRules) *bool {
			if p.Committer == nil {
				return nil
			}
			return &p.Committer.Enabled
		},
		set: func(p *rules.PushRules, enabled *bool) {
			if enabled == nil {
				p.Committer = nil
				return
			}
			p.Committer = &rules.Committer{Enabled: *enabled, Author: value(p.Committer).Author}
		},
		settings: func(p rules.PushRules) map[string]any { return map[string]any{"author": value(p.Committer).Author} },
		configure: func(p *rules.PushRules, settings map[string]any) error {
			author, given := settings["author"]
			is, ok := author.(bool)
			if given && !ok {
				return domain.Invalid("author", "The setting \"author\" must be true or false.")
			}
			p.Committer = &rules.Committer{Enabled: value(p.Committer).Enabled, Author: is}
			return unknownSettings(settings, "author")
		},
	},
}

func unknownSettings(settings map[string]any, known ...string) error {
	for name := range settings {
		if !slices.Contains(known, name) {
			return domain.Invalid(clip(name), "The hook has no setting %q.", clip(name))
		}
	}
	return nil
}

func (a *API) hookRoutes() []route {
	var routes []route
	for _, level := range ruleLevels {
		path := apiPath + level.path + "/settings/hooks"
		routes = append(routes,
			route{
				method: http.MethodGet, path: path, summary: "List the hooks of " + level.of,
				handle: a.listHooks(level), query: []string{"type"}, paged: true, answer: restHook{},
			},
			route{method: http.MethodGet, path: path + "/{hookKey}", summary: "Get a hook of " + level.of, handle: a.getHook(level), answer: restHook{}},
			route{method: http.MethodPut, path: path + "/{hookKey}/enabled", summary: "Enable a hook of " + level.of, handle: a.enableHook(level, true), answer: restHook{}},
			route{method: http.MethodDelete, path: path + "/{hookKey}/enabled", summary: "Disable a hook of " + level.of, handle: a.enableHook(level, false), answer: restHook{}, status: http.StatusOK},
			route{method: http.MethodGet, path: path + "/{hookKey}/settings", summary: "Get the settings of a hook of " + level.of, handle: a.getHookSettings(level), answer: map[string]any{}},
			route{
				method: http.MethodPut, path: path + "/{hookKey}/settings", summary: "Change the settings of a hook of " + level.of,
				handle: a.setHookSettings(level), body: map[string]any{}, answer: map[string]any{},
			})
	}
	return append(routes, route{
		method: http.MethodDelete, path: repositoryPath + "/settings/hooks/{hookKey}", summary: "Have a hook be as the project has it",
		handle: a.handleRemoveHook,
	})
}

type restHook struct {
	Details    restHookDetails `json:"details"`
	Enabled    bool            `json:"enabled"`
	Configured bool            `json:"configured"`
	Scope      restScope       `json:"scope"`
}

type restHookDetails struct {
	Key         string   `json:"key"`
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Version     string   `json:"version"`
	ScopeTypes  []string `json:"scopeTypes"`
}

func (a *API) restHook(r ruled, h hook) restHook {
	own, effective := r.pushRules().Own, r.pushRules().Effective
	scope := scopeOf(r.Target)
	if h.enabled(own) == nil && h.enabled(effective) != nil {
		scope = scopeOf(r.aboveTarget())
	}
	return restHook{
		Details: restHookDetails{Key: h.key, Name: h.name, Type: "PRE_RECEIVE", Description: h.description, Version: a.Version, ScopeTypes: []string{"PROJECT", "REPOSITORY"}},
		Enabled: value(h.enabled(effective)), Configured: h.enabled(effective) != nil, Scope: scope,
	}
}

// hook finds the hook that the path names.
func (c *call) hook() (hook, error) {
	key := c.Param("hookKey")
	for _, h := range hooks {
		if h.key == key {
			return h, nil
		}
	}
	return hook{}, domain.NotFound("hook", "The hook %q does not exist.", clip(key))
}

func (a *API) listHooks(level ruleLevel) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		r, err := a.ruled(c, level, rights.ProjectRead)
		if err != nil {
			return err
		}
		var list []restHook
		if kind := c.QueryParam("type"); kind == "" || strings.EqualFold(kind, "PRE_RECEIVE") {
			list = convert(hooks, func(h hook) restHook { return a.restHook(r, h) })
		}
		list, more := cut(w, list)
		return c.json(http.StatusOK, pageOf(w, list, more))
	}
}

func (a *API) getHook(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, rights.ProjectRead)
		if err != nil {
			return err
		}
		h, err := c.hook()
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, a.restHook(r, h))
	}
}

// changeHook changes the push rule behind a hook.
func (a *API) changeHook(c *call, level ruleLevel, change func(h hook, p *rules.PushRules) error) (r ruled, h hook, err error) {
	if r, err = a.ruled(c, level, ""); err != nil {
		return r, h, err
	}
	if h, err = c.hook(); err != nil {
		return r, h, err
	}
	if err := change(h, &rules.PushRules{}); err != nil { // what is wrong with it does not depend on what is
		return r, h, err
	}
	state, err := a.decideRules(c, r.Target, rules.SetPushRules{Change: func(p *rules.PushRules) { _ = change(h, p) }})
	r.own = &state
	return r, h, err
}

func (a *API) enableHook(level ruleLevel, enabled bool) handler {
	return func(c *call) error {
		settings, err := c.hookSettings()
		if err != nil {
			return err
		}
		r, h, err := a.changeHook(c, level, func(h hook, p *rules.PushRules) error {
			h.set(p, &enabled)
			if settings == nil {
				return nil
			}
			return h.configure(p, settings)
		})
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, a.restHook(r, h))
	}
}

// hookSettings reads settings, nil if none are sent.
func (c *call) hookSettings() (settings map[string]any, err error) {
	if c.Request().ContentLength == 0 {
		return nil, nil
	}
	var raw json.RawMessage
	if err := c.decode(&raw); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &settings); err != nil {
		return nil, domain.Invalid("", "The settings of a hook are an object.")
	}
	return settings, nil
}

func (a *API) getHookSettings(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, rights.ProjectRead)
		if err != nil {
			return err
		}
		h, err := c.hook()
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, h.settings(r.pushRules().Effective))
	}
}

func (a *API) setHookSettings(level ruleLevel) handler {
	return func(c *call) error {
		settings, err := c.hookSettings()
		if err != nil {
			return err
		}
		r, h, err := a.changeHook(c, level, func(h hook, p *rules.PushRules) error { return h.configure(p, settings) })
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, h.settings(r.pushRules().Effective))
	}
}

func (a *API) handleRemoveHook(c *call) error {
	_, _, err := a.changeHook(c, ruleLevels[1], func(h hook, p *rules.PushRules) error {
		h.set(p, nil)
		return nil
	})
	if err != nil {
		return err
	}
	return c.none()
}
