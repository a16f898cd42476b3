package rest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
)

func (a *API) userTokenRoutes() []route {
	const list = "/rest/access-tokens/1.0/users/{userSlug}"
	const one = list + "/{tokenId}"
	return []route{
		{method: http.MethodGet, path: list, summary: "List a user's access tokens", handle: a.handleListTokens, paged: true, answer: restToken{}},
		{
			method: http.MethodPut, path: list, summary: "Create an access token, which is shown this once",
			handle: a.handleCreateToken, body: tokenBody{}, answer: restToken{},
		},
		{method: http.MethodGet, path: one, summary: "Get an access token, without its secret", handle: a.handleGetToken, answer: restToken{}},
		{
			method: http.MethodPost, path: one, summary: "Change an access token's name or permissions",
			handle: a.handleUpdateToken, body: tokenBody{}, answer: restToken{},
		},
		{method: http.MethodDelete, path: one, summary: "Revoke an access token", handle: a.handleRevokeToken},
	}
}

type restToken struct {
	ID          string    `json:"id"`
	CreatedDate int64     `json:"createdDate"`                 // epoch milliseconds
	ExpiryDate  *int64    `json:"expiryDate,omitempty"`        // epoch milliseconds; absent if it never ends
	LastUsed    *int64    `json:"lastAuthenticated,omitempty"` // epoch milliseconds, to the minute
	Name        string    `json:"name"`
	Permissions []string  `json:"permissions"`
	User        *restUser `json:"user,omitempty"`
	Token       string    `json:"token,omitempty"` // in the answer that creates it only
}

type tokenBody struct {
	Name        *string  `json:"name"`
	Permissions []string `json:"permissions"`
	ExpiryDays  *int     `json:"expiryDays"`
}

// maxExpiryDays is a hundred years: later dates are mistakes.
const maxExpiryDays = 36525

func (a *API) restToken(t access.Token, owner access.User) restToken {
	answer := toRestToken(t)
	user := a.restUser(owner)
	answer.User = &user
	return answer
}

func toRestToken(t access.Token) restToken {
	answer := restToken{ID: strconv.FormatInt(int64(t.ID), 10), CreatedDate: t.Created.UnixMilli(), Name: t.Name, Permissions: []string{}}
	for _, p := range t.Permissions {
		answer.Permissions = append(answer.Permissions, string(p))
	}
	if t.Expires != nil {
		ends := t.Expires.UnixMilli()
		answer.ExpiryDate = &ends
	}
	if t.Used != nil {
		used := t.Used.UnixMilli()
		answer.LastUsed = &used
	}
	return answer
}

// owner finds whose tokens the path is about: the caller's own, or for looking and
// revoking those of anybody whom he stands above.
func (a *API) owner(c *call, administrator bool) (access.User, error) {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return access.User{}, err
	}
	u, err := a.Users.UserBySlug(c.ctx(), c.Param("userSlug"))
	if err != nil {
		return access.User{}, err
	}
	denied := &permission.DeniedError{Need: rights.Admin}
	if c.caller.Application && !administrator {
		// Shut out again, an application must not have a token that it has made for itself.
		return access.User{}, denied
	}
	if u.ID == c.caller.User.ID {
		return u, nil
	}
	if !administrator {
		return access.User{}, denied
	}
	return a.subordinate(c, u.Name, denied)
}

// permissions reads a token's permissions. A caller who uses a token himself cannot
// give more than that one has.
func (b tokenBody) permissions(c *call) ([]rights.Permission, error) {
	var list []rights.Permission
	for _, name := range b.Permissions {
		p, err := rights.ParsePermission(name)
		if err != nil {
			return nil, domain.Invalid("permissions", "%s", err.Error())
		}
		if !c.caller.Covers(p) {
			return nil, &permission.DeniedError{Need: p}
		}
		list = append(list, p)
	}
	return list, nil
}

func (b tokenBody) expires(now time.Time) (*time.Time, error) {
	if b.ExpiryDays == nil || *b.ExpiryDays == 0 {
		return nil, nil
	}
	if *b.ExpiryDays < 0 || *b.ExpiryDays > maxExpiryDays {
		return nil, domain.Invalid("expiryDays", "A token can be valid for 1 to %d days.", maxExpiryDays)
	}
	ends := now.UTC().AddDate(0, 0, *b.ExpiryDays)
	return &ends, nil
}

func (a *API) handleListTokens(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	owner, err := a.owner(c, true)
	if err != nil {
		return err
	}
	list, more, err := a.Users.Tokens(c.ctx(), owner.ID, access.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, func(t access.Token) restToken { return a.restToken(t, owner) }), more))
}

func (a *API) handleCreateToken(c *call) error {
	owner, err := a.owner(c, false)
	if err != nil {
		return err
	}
	var body tokenBody
	if err := c.decode(&body); err != nil {
		return err
	}
	permissions, err := body.permissions(c)
	if err != nil {
		return err
	}
	expires, err := body.expires(a.Now())
	if err != nil {
		return err
	}
	number, err := a.Log.NextID(c.ctx(), "token")
	if err != nil {
		return err
	}
	secret, hash := credentials.NewToken()
	command := account.Command(account.CreateToken{
		ID: account.TokenID(number), Name: value(body.Name), Hash: hash, Permissions: permissions, Expires: expires,
	})
	if err := execute(a, c, domain.UserStream(owner.ID), account.Evolve, account.Decide, command); err != nil {
		return err
	}
	token, err := a.Users.Token(c.ctx(), owner.ID, account.TokenID(number))
	if err != nil {
		return err
	}
	answer := a.restToken(token, owner)
	answer.Token = secret
	return c.json(http.StatusOK, answer)
}

// token finds the token that the path names, and whose it is.
func (a *API) token(c *call, administrator bool) (access.Token, access.User, error) {
	owner, err := a.owner(c, administrator)
	if err != nil {
		return access.Token{}, access.User{}, err
	}
	id, err := tokenID(c)
	if err != nil {
		return access.Token{}, access.User{}, err
	}
	token, err := a.Users.Token(c.ctx(), owner.ID, id)
	return token, owner, err
}

func tokenID(c *call) (account.TokenID, error) {
	id, err := strconv.ParseInt(c.Param("tokenId"), 10, 64)
	if err != nil {
		return 0, domain.NotFound("token", "The token does not exist.")
	}
	return account.TokenID(id), nil
}

func (a *API) handleGetToken(c *call) error {
	token, owner, err := a.token(c, true)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restToken(token, owner))
}

func (a *API) handleUpdateToken(c *call) error {
	token, owner, err := a.token(c, false)
	if err != nil {
		return err
	}
	var body tokenBody
	if err := c.decode(&body); err != nil {
		return err
	}
	permissions, err := body.permissions(c)
	if err != nil {
		return err
	}
	command := account.Command(account.ChangeToken{ID: token.ID, Name: body.Name, Permissions: permissions})
	if err := execute(a, c, domain.UserStream(owner.ID), account.Evolve, account.Decide, command); err != nil {
		return err
	}
	if token, err = a.Users.Token(c.ctx(), owner.ID, token.ID); err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restToken(token, owner))
}

func (a *API) handleRevokeToken(c *call) error {
	token, owner, err := a.token(c, true)
	if err != nil {
		return err
	}
	command := account.Command(account.RevokeToken{ID: token.ID})
	if err := execute(a, c, domain.UserStream(owner.ID), account.Evolve, account.Decide, command); err != nil {
		return err
	}
	return c.none()
}
