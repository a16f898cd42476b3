package rest

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/projections/access"
)

const (
	restrictionsPath = "/rest/branch-permissions/2.0"
	bulkType         = "application/vnd.atl.bitbucket.bulk+json"
)

func (a *API) restrictionRoutes() []route {
	var routes []route
	for _, level := range ruleLevels {
		path := restrictionsPath + level.path + "/restrictions"
		routes = append(routes,
			route{
				method: http.MethodGet, path: path, summary: "List the branch permissions of " + level.of,
				handle: a.listRestrictions(level), query: []string{"matcherType", "matcherId", "type"}, paged: true, answer: restRestriction{},
			},
			route{
				method: http.MethodPost, path: path, summary: "Make a branch permission of " + level.of + ", or several at once as " + bulkType,
				handle: a.setRestrictions(level), body: restrictionBody{}, answer: restRestriction{},
			},
			route{
				method: http.MethodGet, path: path + "/{id}", summary: "Get a branch permission of " + level.of,
				handle: a.getRestriction(level), answer: restRestriction{},
			},
			route{
				method: http.MethodDelete, path: path + "/{id}", summary: "Delete a branch permission of " + level.of,
				handle: a.removeRestriction(level),
			})
	}
	return routes
}

type restRestriction struct {
	ID         int64       `json:"id"`
	Scope      restScope   `json:"scope"`
	Type       string      `json:"type"`
	Matcher    restMatcher `json:"matcher"`
	Users      []restUser  `json:"users"`
	Groups     []string    `json:"groups"`
	AccessKeys []exemptKey `json:"accessKeys"`
}

type restMatcher struct {
	ID        string          `json:"id"`
	DisplayID string          `json:"displayId"`
	Type      restMatcherType `json:"type"`
	Active    bool            `json:"active"`
}

type restMatcherType struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type exemptKey struct {
	Key exemptKeyID `json:"key"`
}

type exemptKeyID struct {
	ID int64 `json:"id"`
}

// restrictionBody is a branch permission as clients send it. Users and access keys are
// named or numbered, alone or within what GET answers with.
type restrictionBody struct {
	Type    string `json:"type"`
	Matcher *struct {
		ID   string `json:"id"`
		Type struct {
			ID string `json:"id"`
		} `json:"type"`
	} `json:"matcher"`
	Users        []userReference      `json:"users"`
	UserSlugs    []string             `json:"userSlugs"`
	Groups       []string             `json:"groups"`
	GroupNames   []string             `json:"groupNames"`
	AccessKeys   []accessKeyReference `json:"accessKeys"`
	AccessKeyIDs []int64              `json:"accessKeyIds"`
}

type userReference struct {
	Name string `json:"name"`
	Slug string `json:"slug"`
}

// UnmarshalJSON takes a name, too.
func (u *userReference) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &u.Name) == nil {
		return nil
	}
	type plain userReference
	return json.Unmarshal(data, (*plain)(u))
}

type accessKeyReference struct{ id int64 }

// UnmarshalJSON takes a number, too.
func (k *accessKeyReference) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &k.id) == nil {
		return nil
	}
	var key exemptKey
	err := json.Unmarshal(data, &key)
	k.id = key.Key.ID
	return err
}

var matcherTypeNames = map[rules.MatcherType]string{
	rules.AnyRef: "Any ref", rules.Branch: "Branch", rules.Pattern: "Pattern",
	rules.ModelCategory: "Branching model category", rules.ModelBranch: "Branching model branch",
}

func newRestMatcher(m rules.Matcher) restMatcher {
	display := m.ID
	switch m.Type {
	case rules.Branch:
		display = git.ShortName(m.ID)
	case rules.ModelCategory:
		display = categoryName(m.ID)
	case rules.ModelBranch:
		display = categoryName(strings.ToUpper(m.ID))
	}
	return restMatcher{ID: m.ID, DisplayID: display, Type: restMatcherType{string(m.Type), matcherTypeNames[m.Type]}, Active: true}
}

// restRestrictions shows branch permissions of one target.
func (a *API) restRestrictions(c *call, t rules.Target, list []rules.Restriction) ([]restRestriction, error) {
	users := map[domain.UserID]restUser{}
	answers := make([]restRestriction, len(list))
	for i, r := range list {
		answer := restRestriction{
			ID: r.ID, Scope: scopeOf(t), Type: string(r.Type), Matcher: newRestMatcher(r.Matcher),
			Users: []restUser{}, Groups: []string{}, AccessKeys: []exemptKey{},
		}
		for _, id := range r.Users {
			if _, known := users[id]; !known {
				u, err := a.Users.User(c.ctx(), id)
				if err != nil {
					return nil, err
				}
				users[id] = a.restUser(u)
			}
			answer.Users = append(answer.Users, users[id])
		}
		names, err := a.groupNames(c, r.Groups)
		if err != nil {
			return nil, err
		}
		answer.Groups = append(answer.Groups, names...)
		for _, id := range r.AccessKeys {
			answer.AccessKeys = append(answer.AccessKeys, exemptKey{exemptKeyID{id}})
		}
		answers[i] = answer
	}
	return answers, nil
}

func (a *API) groupNames(c *call, ids []domain.GroupID) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return a.Users.GroupNames(c.ctx(), ids)
}

// scopedRestriction is a branch permission and whose it is.
type scopedRestriction struct {
	rules.Target
	rules.Restriction
}

// all are the branch permissions that hold for the target: its own, and those of a
// repository's project.
func (r ruled) all() []scopedRestriction {
	var all []scopedRestriction
	for _, of := range []struct {
		t rules.Target
		s *rules.State
	}{{r.aboveTarget(), r.above}, {r.Target, r.own}} {
		if of.s == nil {
			continue
		}
		for _, restriction := range of.s.Restrictions {
			all = append(all, scopedRestriction{of.t, restriction})
		}
	}
	return all
}

func (a *API) listRestrictions(level ruleLevel) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		keeps, err := restrictionFilter(c)
		if err != nil {
			return err
		}
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		list, more := cut(w, slices.DeleteFunc(r.all(), func(s scopedRestriction) bool { return !keeps(s.Restriction) }))
		answers := make([]restRestriction, 0, len(list))
		for _, s := range list {
			one, err := a.restRestrictions(c, s.Target, []rules.Restriction{s.Restriction})
			if err != nil {
				return err
			}
			answers = append(answers, one...)
		}
		return c.json(http.StatusOK, pageOf(w, answers, more))
	}
}

func restrictionFilter(c *call) (func(rules.Restriction) bool, error) {
	var kinds []string
	for _, t := range rules.MatcherTypes {
		kinds = append(kinds, string(t))
	}
	kind, err := c.choice("matcherType", "", kinds...)
	if err != nil {
		return nil, err
	}
	id := c.QueryParam("matcherId")
	if id != "" && kind == "" {
		return nil, domain.Invalid("matcherType", "The parameter \"matcherId\" needs \"matcherType\".")
	}
	forbids := c.QueryParam("type")
	if forbids != "" && !slices.Contains(rules.Types, rules.Type(forbids)) {
		return nil, domain.Invalid("type", "%q is no type of restrictions.", clip(forbids))
	}
	return func(r rules.Restriction) bool {
		return (kind == "" || string(r.Matcher.Type) == kind) && (id == "" || r.Matcher.ID == id) && (forbids == "" || string(r.Type) == forbids)
	}, nil
}

func (a *API) setRestrictions(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		bodies := make([]restrictionBody, 1)
		media, _, _ := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
		bulk := media == bulkType
		if bulk {
			err = c.decodeAs(bulkType, &bodies)
		} else {
			err = c.decode(&bodies[0])
		}
		if err != nil {
			return err
		}
		if len(bodies) > rules.MaxRestrictions {
			return domain.Invalid("", "At most %d restrictions can be made at once.", rules.MaxRestrictions)
		}
		command := rules.SetRestrictions{}
		for _, body := range bodies {
			restriction, err := a.restriction(c, body)
			if err != nil {
				return err
			}
			command.Restrictions = append(command.Restrictions, restriction)
		}
		state, err := a.decideRules(c, r.Target, command)
		if err != nil {
			return err
		}
		var made []rules.Restriction
		for _, asked := range command.Restrictions {
			for _, is := range state.Restrictions {
				if is.Same(asked) {
					made = append(made, is)
				}
			}
		}
		answers, err := a.restRestrictions(c, r.Target, made)
		if err != nil {
			return err
		}
		if bulk {
			return c.json(http.StatusOK, answers)
		}
		return c.json(http.StatusOK, answers[0])
	}
}

// restriction reads one branch permission, under a fresh number.
func (a *API) restriction(c *call, body restrictionBody) (r rules.Restriction, err error) {
	if body.Matcher == nil {
		return r, domain.Invalid("matcher", "The matcher is required.")
	}
	r.Type = rules.Type(body.Type)
	r.Matcher = rules.Matcher{Type: rules.MatcherType(body.Matcher.Type.ID), ID: body.Matcher.ID}
	exempt := len(body.Users) + len(body.UserSlugs) + len(body.Groups) + len(body.GroupNames)
	if exempt > rules.MaxExempt {
		return r, domain.Invalid("users", "At most %d users and groups can be exempt from a restriction.", rules.MaxExempt)
	}
	references := body.Users
	for _, slug := range body.UserSlugs {
		references = append(references, userReference{Slug: slug})
	}
	for _, reference := range references {
		u, err := a.referred(c, reference)
		if err != nil {
			return r, err
		}
		r.Users = append(r.Users, u.ID)
	}
	for _, name := range append(body.Groups, body.GroupNames...) {
		g, err := a.Users.GroupByName(c.ctx(), name)
		if err != nil {
			return r, err
		}
		r.Groups = append(r.Groups, g.ID)
	}
	r.AccessKeys = body.AccessKeyIDs
	for _, key := range body.AccessKeys {
		r.AccessKeys = append(r.AccessKeys, key.id)
	}
	r.ID, err = a.Log.NextID(c.ctx(), "rule")
	return r, err
}

func (a *API) referred(c *call, u userReference) (access.User, error) {
	if u.Name != "" {
		return a.Users.UserByName(c.ctx(), u.Name)
	}
	return a.Users.UserBySlug(c.ctx(), u.Slug)
}

func (a *API) getRestriction(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		s, err := r.restriction(c)
		if err != nil {
			return err
		}
		answers, err := a.restRestrictions(c, s.Target, []rules.Restriction{s.Restriction})
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, answers[0])
	}
}

// restriction finds the branch permission that the path names.
func (r ruled) restriction(c *call) (scopedRestriction, error) {
	id, err := c.ruleID("restriction")
	if err != nil {
		return scopedRestriction{}, err
	}
	for _, s := range r.all() {
		if s.ID == id {
			return s, nil
		}
	}
	return scopedRestriction{}, noRule("restriction")
}

func (a *API) removeRestriction(level ruleLevel) handler {
	return func(c *call) error {
		r, err := a.ruled(c, level, "")
		if err != nil {
			return err
		}
		s, err := r.restriction(c)
		switch {
		case absent(err):
			return c.none() // what is not there is deleted already
		case err != nil:
			return err
		case s.Target != r.Target:
			return domain.Conflict("", "Restriction %d is the project's: delete it there.", s.ID)
		}
		if _, err := a.decideRules(c, r.Target, rules.RemoveRestriction{ID: s.ID}); err != nil {
			return err
		}
		return c.none()
	}
}
