package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

// tokenRoutes are about the tokens of projects, repositories and users, which have much the same
// addresses.
func (a *API) tokenRoutes() []route {
	routes := a.userTokenRoutes()
	const tokens = "/rest/access-tokens/1.0/projects/{projectKey}"
	for _, level := range []struct {
		path, of string
		target   func(c *call) (keyTarget, error)
	}{
		{tokens, "a project", a.keyProject},
		{tokens + "/repos/{repositorySlug}", "a repository", a.keyRepository},
	} {
		one := level.path + "/{tokenId}"
		routes = append(routes,
			route{
				method: http.MethodGet, path: level.path, summary: "List the access tokens of " + level.of,
				handle: a.listAccessTokens(level.target), paged: true, answer: restToken{},
			},
			route{
				method: http.MethodPut, path: level.path, summary: "Create an access token of " + level.of + ", which is shown this once",
				handle: a.createAccessToken(level.target), body: tokenBody{}, answer: restToken{},
			},
			route{
				method: http.MethodGet, path: one, summary: "Get an access token of " + level.of + ", without its secret",
				handle: a.getAccessToken(level.target), answer: restToken{},
			},
			route{
				method: http.MethodPost, path: one, summary: "Change the name or permissions of an access token of " + level.of,
				handle: a.updateAccessToken(level.target), body: tokenBody{}, answer: restToken{},
			},
			route{method: http.MethodDelete, path: one, summary: "Revoke an access token of " + level.of, handle: a.revokeAccessToken(level.target)})
	}
	return routes
}

// tokenGrant is what the user of a token is granted on its target: as much as the strongest of the
// token's permissions needs. The others limit the token itself.
func (t keyTarget) tokenGrant(permissions []rights.Permission) (rights.Permission, error) {
	strongest := 0
	for _, p := range permissions {
		if t.Level() == rights.Repository && p.Level() != rights.Repository {
			return "", domain.Invalid("permissions", "A repository's token can be given repository permissions only.")
		}
		strongest = max(strongest, p.Rank())
	}
	switch {
	case strongest == 0 || strongest > len(rights.OnProject):
		return "", domain.Invalid("permissions", "The token needs a project or a repository permission.")
	case t.Level() == rights.Repository:
		return rights.OnRepository[strongest-1], nil
	}
	return rights.OnProject[strongest-1], nil
}

// checkToken judges what an access token shall give; nothing is said of permissions that are not given.
func (a *API) checkToken(c *call, t keyTarget, body tokenBody) (permissions []rights.Permission, grant rights.Permission, err error) {
	if c.caller.Application {
		// Shut out again, an application must not have a token that it has made for itself.
		return nil, "", &permission.DeniedError{Need: rights.Admin}
	}
	if permissions, err = body.permissions(c); err != nil || permissions == nil {
		return permissions, "", err
	}
	for _, p := range permissions {
		if p.Level() == rights.Global {
			return nil, "", domain.Invalid("permissions", "A token can be given project and repository permissions only.")
		}
	}
	grant, err = t.tokenGrant(permissions)
	return permissions, grant, err
}

func (a *API) listAccessTokens(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		t, err := target(c)
		if err != nil {
			return err
		}
		list, more, err := a.Users.AccessTokens(c.ctx(), t.Target, access.Page(w))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, pageOf(w, convert(list, toRestToken), more))
	}
}

func (a *API) createAccessToken(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		var body tokenBody
		if err := c.decode(&body); err != nil {
			return err
		}
		permissions, grant, err := a.checkToken(c, t, body)
		if err == nil && grant == "" {
			_, err = t.tokenGrant(nil)
		}
		if err != nil {
			return err
		}
		expires, err := body.expires(a.Now())
		if err != nil {
			return err
		}
		command := account.CreateToken{Name: value(body.Name), Permissions: permissions, Expires: expires}
		if err := a.roomForToken(c, t, command.Name); err != nil {
			return err
		}
		token, secret, err := a.giveAccessToken(c, t, grant, command)
		if err != nil {
			return err
		}
		answer := toRestToken(token)
		answer.Token = secret
		return c.json(http.StatusOK, answer)
	}
}

// roomForToken answers early what the grant would be refused for; what comes in between is.
func (a *API) roomForToken(c *call, t keyTarget, name string) error {
	list, more, err := a.Users.AccessTokens(c.ctx(), t.Target, access.Page{Limit: account.MaxTokens})
	if err != nil {
		return err
	}
	if more || len(list) >= account.MaxTokens {
		return domain.Invalid("", "A %s may have %d tokens. Revoke one that is no longer needed.", t.Level(), account.MaxTokens)
	}
	for _, token := range list {
		if strings.EqualFold(token.Name, name) {
			return account.TokenNameTaken()
		}
	}
	return nil
}

// giveAccessToken makes a user who holds a token, and grants him what it gives.
func (a *API) giveAccessToken(c *call, t keyTarget, p rights.Permission, command account.CreateToken) (access.Token, string, error) {
	user, err := a.Log.NextID(c.ctx(), "user")
	if err != nil {
		return access.Token{}, "", err
	}
	number, err := a.Log.NextID(c.ctx(), "token")
	if err != nil {
		return access.Token{}, "", err
	}
	holder := domain.UserID(user)
	secret, hash := credentials.NewToken()
	command.ID, command.Hash = account.TokenID(number), hash
	_, _, err = eventstore.Execute(c.ctx(), a.Log, domain.UserStream(holder), account.Evolve, c.meta, func(s account.State) ([]domain.Event, error) {
		made, err := account.Decide(s, account.AccessTokenHolder(holder, command.Name))
		if err != nil {
			return nil, err
		}
		for _, event := range made {
			s = account.Evolve(s, event)
		}
		created, err := account.Decide(s, command)
		return append(made, created...), err
	})
	if err != nil {
		return access.Token{}, "", err
	}
	if err := a.grantOnLiving(c, t.Target, rights.Grant{User: holder, Permission: p, Target: t.Target}); err != nil {
		// A token that opens nothing, and that nobody has seen.
		if ended := a.endHolder(c, holder); ended != nil {
			a.Logger.WarnContext(c.ctx(), "a token that was not given is left", "user", holder, "error", ended)
		}
		return access.Token{}, "", err
	}
	token, err := a.Users.AccessToken(c.ctx(), t.Target, command.ID)
	return token, secret, err
}

// accessToken finds the target and the token that the path names.
func (a *API) accessToken(c *call, target func(c *call) (keyTarget, error)) (keyTarget, access.Token, error) {
	t, err := target(c)
	if err != nil {
		return t, access.Token{}, err
	}
	id, err := tokenID(c)
	if err != nil {
		return t, access.Token{}, err
	}
	token, err := a.Users.AccessToken(c.ctx(), t.Target, id)
	return t, token, err
}

func (a *API) getAccessToken(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		_, token, err := a.accessToken(c, target)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, toRestToken(token))
	}
}

func (a *API) updateAccessToken(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		t, token, err := a.accessToken(c, target)
		if err != nil {
			return err
		}
		var body tokenBody
		if err := c.decode(&body); err != nil {
			return err
		}
		permissions, grant, err := a.checkToken(c, t, body)
		if err != nil {
			return err
		}
		change := account.Command(account.ChangeToken{ID: token.ID, Name: body.Name, Permissions: permissions})
		if err := execute(a, c, domain.UserStream(token.User), account.Evolve, account.Decide, change); err != nil {
			return err
		}
		if grant != "" {
			if err := a.grantOnLiving(c, t.Target, rights.Grant{User: token.User, Permission: grant, Target: t.Target}); err != nil {
				return err
			}
		}
		if token, err = a.Users.AccessToken(c.ctx(), t.Target, token.ID); err != nil {
			return err
		}
		return c.json(http.StatusOK, toRestToken(token))
	}
}

func (a *API) revokeAccessToken(target func(c *call) (keyTarget, error)) handler {
	return func(c *call) error {
		t, token, err := a.accessToken(c, target)
		if err != nil {
			return err
		}
		// The token first: with it all ends that the rest would give.
		if err := execute(a, c, domain.UserStream(token.User), account.Evolve, account.Decide, account.Command(account.End{})); err != nil {
			return err
		}
		revoke := rights.Command(rights.Revoke{User: token.User, Target: t.Target})
		if err := execute(a, c, t.Stream(token.User), rights.Evolve, rights.Decide, revoke); err != nil {
			return err
		}
		return c.none()
	}
}
