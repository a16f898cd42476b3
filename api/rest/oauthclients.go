package rest

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/projections/access"
)

func (a *API) oauthRoutes() []route {
	const clients = annalPath + "/oauth2/clients"
	const client = clients + "/{id}"
	const authorizations = annalPath + "/oauth2/authorizations"
	return []route{
		{method: http.MethodGet, path: clients, summary: "List applications that may ask users to act for them", handle: a.handleListClients, paged: true, answer: restClient{}},
		{
			method: http.MethodPost, path: clients, summary: "Make an application known; its secret is shown this once",
			handle: a.handleCreateClient, body: clientBody{}, answer: restClient{}, status: http.StatusCreated,
		},
		{method: http.MethodGet, path: client, summary: "Get an application", handle: a.handleGetClient, answer: restClient{}},
		{method: http.MethodPut, path: client, summary: "Change an application's name, redirect URIs and scopes", handle: a.handleChangeClient, body: clientBody{}, answer: restClient{}},
		{method: http.MethodDelete, path: client, summary: "Shut an application out, and all its tokens", handle: a.handleDeleteClient},
		{method: http.MethodPost, path: client + "/secret", summary: "Give an application another secret, which is shown this once", handle: a.handleChangeClientSecret, answer: restClient{}},
		{method: http.MethodGet, path: authorizations, summary: "List what one lets applications do", handle: a.handleListAuthorizations, paged: true, answer: restAuthorization{}},
		{method: http.MethodDelete, path: authorizations + "/{id}", summary: "Shut an application out that one has let in", handle: a.handleRevokeAuthorization},
	}
}

type restClient struct {
	ID           int64    `json:"id"`
	ClientID     string   `json:"clientId"`
	ClientSecret string   `json:"clientSecret,omitempty"` // in the answer that makes it only
	Name         string   `json:"name"`
	RedirectURIs []string `json:"redirectUris"`
	Scopes       []string `json:"scopes"`
	CreatedDate  int64    `json:"createdDate"` // epoch milliseconds
}

type clientBody struct {
	Name         string   `json:"name"`
	RedirectURIs []string `json:"redirectUris"`
	Scopes       []string `json:"scopes"`
}

type restAuthorization struct {
	ID          int64    `json:"id"`
	Application string   `json:"application"`
	Scopes      []string `json:"scopes"`
	CreatedDate int64    `json:"createdDate"` // epoch milliseconds
}

func shownClient(c access.OAuthClient) restClient {
	return restClient{ID: int64(c.ID), ClientID: c.ClientID, Name: c.Name, RedirectURIs: c.RedirectURIs, Scopes: c.Scopes, CreatedDate: c.Created.UnixMilli()}
}

func shownAuthorization(g access.OAuthGrant) restAuthorization {
	return restAuthorization{ID: int64(g.ID), Application: g.Name, Scopes: g.Scopes, CreatedDate: g.Created.UnixMilli()}
}

// managesClients lets in system administrators: an application may be let do all that they may.
func (a *API) managesClients(c *call) error {
	return a.judge.Global(c.ctx(), c.caller, rights.SysAdmin)
}

func (a *API) handleListClients(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.managesClients(c); err != nil {
		return err
	}
	list, more, err := a.Users.OAuthClients(c.ctx(), access.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, shownClient), more))
}

func (a *API) handleCreateClient(c *call) error {
	if err := a.managesClients(c); err != nil {
		return err
	}
	var body clientBody
	if err := c.decode(&body); err != nil {
		return err
	}
	number, err := a.Log.NextID(c.ctx(), "oauth_client")
	if err != nil {
		return err
	}
	id := domain.OAuthClientID(number)
	secret, hash := credentials.OAuthClient.New()
	err = a.commandClient(c, id, oauth.Create{ID: id, ClientID: uuid.NewString(), SecretHash: hash, Client: oauth.Client(body)})
	if err != nil {
		return err
	}
	return a.answerClient(c, http.StatusCreated, id, secret)
}

func (a *API) commandClient(c *call, id domain.OAuthClientID, command oauth.Command) error {
	return execute(a, c, domain.OAuthClientStream(id), oauth.Evolve, oauth.Decide, command)
}

func (a *API) answerClient(c *call, status int, id domain.OAuthClientID, secret string) error {
	found, err := a.Users.OAuthClient(c.ctx(), id)
	if err != nil {
		return err
	}
	answer := shownClient(found)
	answer.ClientSecret = secret
	return c.json(status, answer)
}

// client is the number of the application that the path names, for those who may manage it.
func (a *API) client(c *call) (domain.OAuthClientID, error) {
	if err := a.managesClients(c); err != nil {
		return 0, err
	}
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return 0, domain.NotFound("client", "The application does not exist.")
	}
	return domain.OAuthClientID(id), nil
}

func (a *API) handleGetClient(c *call) error {
	id, err := a.client(c)
	if err != nil {
		return err
	}
	return a.answerClient(c, http.StatusOK, id, "")
}

func (a *API) handleChangeClient(c *call) error {
	id, err := a.client(c)
	if err != nil {
		return err
	}
	var body clientBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := a.commandClient(c, id, oauth.Change{Client: oauth.Client(body)}); err != nil {
		return err
	}
	return a.answerClient(c, http.StatusOK, id, "")
}

func (a *API) handleDeleteClient(c *call) error {
	id, err := a.client(c)
	if err != nil {
		return err
	}
	if err := a.commandClient(c, id, oauth.Delete{}); err != nil {
		return err
	}
	return c.none()
}

func (a *API) handleChangeClientSecret(c *call) error {
	id, err := a.client(c)
	if err != nil {
		return err
	}
	secret, hash := credentials.OAuthClient.New()
	if err := a.commandClient(c, id, oauth.ChangeSecret{Hash: hash}); err != nil {
		return err
	}
	return a.answerClient(c, http.StatusOK, id, secret)
}

func (a *API) handleListAuthorizations(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.ownsAccount(c); err != nil {
		return err
	}
	list, more, err := a.Users.OAuthGrants(c.ctx(), c.caller.User.ID, access.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, shownAuthorization), more))
}

func (a *API) handleRevokeAuthorization(c *call) error {
	if err := a.ownsAccount(c); err != nil {
		return err
	}
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return domain.NotFound("grant", "The authorization does not exist.")
	}
	command := account.Command(account.RevokeApplication{Grant: account.GrantID(id), Reason: account.RevokedByUser})
	if err := execute(a, c, domain.UserStream(c.caller.User.ID), account.Evolve, account.Decide, command); err != nil {
		return err
	}
	return c.none()
}
