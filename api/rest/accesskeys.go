package rest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
)

func (a *API) accessKeyRoutes() []route {
	const keys = "/rest/keys/1.0"
	var routes []route
	for _, level := range []struct {
		path, of string
		query    []string
		target   func(c *call) (keyTarget, error)
	}{
		{keys + "/projects/{projectKey}/ssh", "a project", []string{"filter", "permission"}, a.keyProject},
		{
			keys + "/projects/{projectKey}/repos/{repositorySlug}/ssh", "a repository",
			[]string{"filter", "permission", "minimumPermission", "effective"}, a.keyRepository,
		},
	} {
		one := level.path + "/{keyId}"
		routes = append(routes,
			route{
				method: http.MethodGet, path: level.path, summary: "List the access keys of " + level.of,
				handle: a.listAccessKeys(level.target), query: level.query, paged: true, answer: restAccessKey{},
			},
			route{
				method: http.MethodPost, path: level.path, summary: "Give an access key to " + level.of,
				handle: a.addAccessKey(level.target), body: accessKeyBody{}, answer: restAccessKey{}, status: http.StatusCreated,
			},
			route{method: http.MethodGet, path: one, summary: "Get an access key of " + level.of, handle: a.getAccessKey(level.target), answer: restAccessKey{}},
			route{method: http.MethodDelete, path: one, summary: "Take an access key from " + level.of, handle: a.revokeAccessKey(level.target)},
			route{
				method: http.MethodPut, path: one + "/permission/{permission}", summary: "Change what an access key may do with " + level.of,
				handle: a.changeAccessKey(level.target), answer: restAccessKey{},
			})
	}
	return append(routes,
		route{
			method: http.MethodDelete, path: keys + "/ssh/{keyId}", summary: "Take an access key from projects and repositories",
			handle: a.handleRevokeAccessKeys, body: accessKeyLocations{},
		},
		route{
			method: http.MethodGet, path: keys + "/ssh/{keyId}/projects", summary: "List the projects of an access key, of those that one administers",
			handle: a.usesOfAccessKey(rights.Project), paged: true, answer: restAccessKey{},
		},
		route{
			method: http.MethodGet, path: keys + "/ssh/{keyId}/repos", summary: "List the repositories of an access key, of those that one administers",
			handle: a.usesOfAccessKey(rights.Repository), paged: true, answer: restAccessKey{},
		})
}

type restAccessKey struct {
	Key        restSSHKey      `json:"key"`
	Permission string          `json:"permission"`
	Project    *restProject    `json:"project,omitempty"`
	Repository *restRepository `json:"repository,omitempty"`
}

type accessKeyBody struct {
	Key        sshKeyBody `json:"key"`
	Permission string     `json:"permission"`
}

type accessKeyLocations struct {
	Projects     []projectKeyRef    `json:"projects"`
	Repositories []repositoryKeyRef `json:"repositories"`
}

type repositoryKeyRef struct {
	Slug    string        `json:"slug"`
	Project projectKeyRef `json:"project"`
}

// keyTarget is the project or repository that an access key opens. It is found for callers
// who may administer it, and for no others.
type keyTarget struct {
	rights.Target
	project    catalog.Project
	repository catalog.Repository // zero for a project
}

func (a *API) keyProject(c *call) (keyTarget, error) { return a.keyProjectOf(c, c.Param("projectKey")) }

func (a *API) keyRepository(c *call) (keyTarget, error) {
	return a.keyRepositoryOf(c, c.Param("projectKey"), c.Param("repositorySlug"))
}

func (a *API) keyProjectOf(c *call, key string) (keyTarget, error) {
	p, err := a.judge.Project(c.ctx(), c.caller, key, rights.ProjectAdmin)
	return keyTarget{Target: rights.Target{Project: p.ID}, project: p}, err
}

func (a *API) keyRepositoryOf(c *call, key, slug string) (keyTarget, error) {
	r, err := a.judge.Repository(c.ctx(), c.caller, key, slug, rights.RepoAdmin)
	return keyTarget{Target: rights.Target{Repository: r.ID}, project: r.Project, repository: r}, err
}

// permission reads what an access key shall be able to do: to read or to write.
func (t keyTarget) permission(name string) (rights.Permission, error) {
	read, write := rights.ProjectRead, rights.ProjectWrite
	if t.Level() == rights.Repository {
		read, write = rights.RepoRead, rights.RepoWrite
	}
	if p := rights.Permission(strings.ToUpper(name)); p == read || p == write {
		return p, nil
	}
	return "", domain.Invalid("permission", "An access key has the permission %s or %s here.", read, write)
}

func (a *API) restAccessKey(k access.AccessKey, t keyTarget) restAccessKey {
	answer := restAccessKey{Key: toRestSSHKey(k.SSHKey), Permission: string(k.Permission)}
	if k.Target.Level() == rights.Repository {
		repository := a.restRepository(t.repository)
		answer.Repository = &repository
	} else {
		project := a.restProject(t.project)
		answer.Project = &project
	}
	return answer
}

func (a *API) listAccessKeys(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		t, err := target(c)
		if err != nil {
			return err
		}
		filter := access.AccessKeyFilter{Label: c.QueryParam("filter")}
		for _, name := range []string{"permission", "minimumPermission"} {
			if text := c.QueryParam(name); text != "" {
				if filter.Minimum, err = rights.ParsePermission(text); err != nil {
					return err
				}
			}
		}
		effective, err := c.flag("effective", false)
		if err != nil {
			return err
		}
		if effective && t.Level() == rights.Repository {
			filter.Within = t.project.ID
		}
		list, more, err := a.Users.AccessKeys(c.ctx(), t.Target, filter, access.Page(w))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, pageOf(w, convert(list, func(k access.AccessKey) restAccessKey { return a.restAccessKey(k, t) }), more))
	}
}

func (a *API) addAccessKey(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		var body accessKeyBody
		if err := c.decode(&body); err != nil {
			return err
		}
		p, err := t.permission(body.Permission)
		if err != nil {
			return err
		}
		command, err := body.Key.command(a.Now())
		if err != nil {
			return err
		}
		key, err := a.giveAccessKey(c, t, p, command)
		if err != nil {
			return err
		}
		return c.json(http.StatusCreated, a.restAccessKey(key, t))
	}
}

// maxGiving bounds how often a key is given again because it was taken away meanwhile.
const maxGiving = 3

// giveAccessKey grants the permission to the user of an access key, who is made with the key
// if there is none. A key that is granted somewhere cannot be removed; one that was removed
// between looking and granting is made anew.
func (a *API) giveAccessKey(c *call, t keyTarget, p rights.Permission, command account.AddSSHKey) (access.AccessKey, error) {
	for range maxGiving {
		holder, err := a.accessKeyHolder(c, command)
		if err != nil {
			return access.AccessKey{}, err
		}
		if _, err := a.Users.AccessKey(c.ctx(), holder.ID, t.Target); err == nil {
			return access.AccessKey{}, domain.Conflict("", "This SSH key is an access key here already.")
		}
		if err := a.grantAccessKey(c, holder.User, t, p); err != nil {
			return access.AccessKey{}, err
		}
		key, err := a.Users.AccessKey(c.ctx(), holder.ID, t.Target)
		if !absent(err) {
			return key, err
		}
	}
	return access.AccessKey{}, &domain.UnavailableError{Message: "This SSH key is being added and removed at the same time. Try again."}
}

// accessKeyHolder finds an access key, wherever it is used, or makes it.
func (a *API) accessKeyHolder(c *call, command account.AddSSHKey) (access.SSHKey, error) {
	owner, key, err := a.Users.SSHKeyByKey(c.ctx(), command.Key)
	switch {
	case err == nil && owner.Type == account.AccessKey:
		return key, nil
	case err == nil:
		return access.SSHKey{}, domain.Conflict("", "This SSH key belongs to a user and cannot be an access key.")
	case !absent(err):
		return access.SSHKey{}, err
	}
	number, err := a.Log.NextID(c.ctx(), "user")
	if err != nil {
		return access.SSHKey{}, err
	}
	id := domain.UserID(number)
	if number, err = a.Log.NextID(c.ctx(), "ssh_key"); err != nil {
		return access.SSHKey{}, err
	}
	command.ID = account.SSHKeyID(number)
	_, _, err = eventstore.Execute(c.ctx(), a.Log, domain.UserStream(id), account.Evolve, c.meta, func(s account.State) ([]domain.Event, error) {
		made, err := account.Decide(s, account.AccessKeyHolder(id, command.Label))
		if err != nil {
			return nil, err
		}
		for _, event := range made {
			s = account.Evolve(s, event)
		}
		added, err := account.Decide(s, command)
		return append(made, added...), err
	})
	return access.SSHKey{ID: command.ID, User: id}, err
}

func (a *API) grantAccessKey(c *call, user domain.UserID, t keyTarget, p rights.Permission) error {
	return a.grantOnLiving(c, t.Target, rights.Grant{User: user, Permission: p, Target: t.Target})
}

// accessKey finds the target and the access key that the path names.
func (a *API) accessKey(c *call, target func(c *call) (keyTarget, error)) (keyTarget, access.AccessKey, error) {
	t, err := target(c)
	if err != nil {
		return t, access.AccessKey{}, err
	}
	id, err := keyID(c)
	if err != nil {
		return t, access.AccessKey{}, err
	}
	key, err := a.Users.AccessKey(c.ctx(), id, t.Target)
	return t, key, err
}

func (a *API) getAccessKey(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		t, key, err := a.accessKey(c, target)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, a.restAccessKey(key, t))
	}
}

func (a *API) changeAccessKey(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		t, key, err := a.accessKey(c, target)
		if err != nil {
			return err
		}
		if key.Permission, err = t.permission(c.Param("permission")); err != nil {
			return err
		}
		if err := a.grantAccessKey(c, key.User, t, key.Permission); err != nil {
			return err
		}
		return c.json(http.StatusOK, a.restAccessKey(key, t))
	}
}

func (a *API) revokeAccessKey(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		id, err := keyID(c)
		if err == nil {
			err = a.takeAccessKey(c, t, id)
		}
		if err != nil && !absent(err) {
			return err
		}
		return c.none()
	}
}

// takeAccessKey takes away what an access key gives on a target. With the last of it the key
// ends, and its user.
func (a *API) takeAccessKey(c *call, t keyTarget, id account.SSHKeyID) error {
	key, err := a.Users.AccessKey(c.ctx(), id, t.Target)
	if err != nil {
		return err
	}
	command := rights.Command(rights.Revoke{User: key.User, Target: t.Target})
	if err := execute(a, c, t.Stream(key.User), rights.Evolve, rights.Decide, command); err != nil {
		return err
	}
	return a.endHolder(c, key.User)
}

// handleRevokeAccessKeys judges all that it is asked for before it takes anything.
func (a *API) handleRevokeAccessKeys(c *call) error {
	if c.caller.Anonymous() {
		return &permission.DeniedError{Anonymous: true, Need: rights.RepoAdmin}
	}
	id, err := keyID(c)
	if err != nil {
		return err
	}
	var body accessKeyLocations
	if err := c.decode(&body); err != nil {
		return err
	}
	var targets []keyTarget
	for _, p := range body.Projects {
		t, err := a.keyProjectOf(c, p.Key)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	for _, r := range body.Repositories {
		t, err := a.keyRepositoryOf(c, r.Project.Key, r.Slug)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	for _, t := range targets {
		if err := a.takeAccessKey(c, t, id); err != nil && !absent(err) {
			return err
		}
	}
	return c.none()
}

// usesOfAccessKey lists where a key is used, as far as the caller administers that. Whoever
// administers none of it learns nothing.
func (a *API) usesOfAccessKey(level rights.Level) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
			return err
		}
		id, err := keyID(c)
		if err != nil {
			return err
		}
		uses, err := a.Users.AccessKeyUses(c.ctx(), id)
		if err != nil {
			return err
		}
		var list []restAccessKey
		for _, use := range uses {
			if use.Target.Level() != level {
				continue
			}
			t, err := a.keyTargetOf(c, use.Target)
			var denied *permission.DeniedError
			if absent(err) || errors.As(err, &denied) {
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, a.restAccessKey(use, t))
		}
		from := min(w.Start, len(list))
		to := min(from+w.Limit, len(list))
		return c.json(http.StatusOK, pageOf(w, list[from:to], to < len(list)))
	}
}

// keyTargetOf finds a target by its number.
func (a *API) keyTargetOf(c *call, target rights.Target) (keyTarget, error) {
	if target.Level() == rights.Repository {
		r, err := a.Catalog.RepositoryByID(c.ctx(), target.Repository)
		if err != nil {
			return keyTarget{}, err
		}
		return a.keyRepositoryOf(c, r.Project.Key, r.Slug)
	}
	p, err := a.Catalog.ProjectByID(c.ctx(), target.Project)
	if err != nil {
		return keyTarget{}, err
	}
	return a.keyProjectOf(c, p.Key)
}
