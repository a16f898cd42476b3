package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
)

// problem is an error of RFC 6749, section 5.2.
type problem struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (p *problem) Error() string { return p.Description }

func invalidGrant() error {
	return &problem{"invalid_grant", "the code or refresh token is not valid, not any more, or not for this client"}
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

// handleToken gives tokens for a code or refresh token.
func (h *Handler) handleToken(c echo.Context) error {
	client, err := h.authenticate(c)
	if err != nil {
		return h.explain(c, err)
	}
	sent := c.Request().PostForm
	var grant access.OAuthGrant
	switch sent.Get("grant_type") {
	case "authorization_code":
		grant, err = h.useCode(c, client, sent)
	case "refresh_token":
		grant, err = h.useRefresh(c, client, sent.Get("refresh_token"))
	default:
		err = &problem{"unsupported_grant_type", "grant_type must be authorization_code or refresh_token"}
	}
	if err != nil {
		return h.explain(c, err)
	}
	answer, err := h.give(c.Request().Context(), grant)
	if err != nil {
		return h.explain(c, err)
	}
	return c.JSON(http.StatusOK, answer)
}

// give makes the tokens of a grant, if its user may still log in.
func (h *Handler) give(ctx context.Context, grant access.OAuthGrant) (tokens, error) {
	login, err := h.Users.LoginByID(ctx, grant.User)
	if err != nil {
		return tokens{}, err
	}
	if !login.Active || !login.Licensed {
		return tokens{}, invalidGrant()
	}
	now := h.Now()
	pair := access.Pair{AccessEnds: now.Add(accessFor), RefreshEnds: now.Add(refreshFor)}
	answer := tokens{TokenType: "bearer", ExpiresIn: int(accessFor.Seconds()), Scope: strings.Join(grant.Scopes, " ")}
	answer.AccessToken, pair.Access = credentials.OAuthAccess.New()
	answer.RefreshToken, pair.Refresh = credentials.OAuthRefresh.New()
	return answer, h.Tokens.SavePair(ctx, grant.ID, pair, now)
}

// useCode uses a code up. One that comes again has been stolen by somebody, either who comes now or
// who came before: what the first got ends, too.
func (h *Handler) useCode(c echo.Context, client access.OAuthClient, sent url.Values) (access.OAuthGrant, error) {
	hash := credentials.OAuthCode.Hash(sent.Get("code"))
	if hash == nil {
		return access.OAuthGrant{}, invalidGrant()
	}
	code, grant, err := h.Tokens.UseCode(c.Request().Context(), hash, client.ID)
	switch {
	case err != nil:
		return grant, err
	case code.Used:
		return grant, h.revokeReused(c, grant)
	case !h.Now().Before(code.Ends), sent.Get("redirect_uri") != code.RedirectURI, !answers(code.Challenge, sent.Get("code_verifier")):
		return grant, invalidGrant()
	}
	return grant, nil
}

// answers reports whether a verifier is the one that a challenge was made of (RFC 7636, section
// 4.6). One without a challenge means that somebody has taken the challenge away.
func answers(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

func (h *Handler) useRefresh(c echo.Context, client access.OAuthClient, token string) (access.OAuthGrant, error) {
	hash := credentials.OAuthRefresh.Hash(token)
	if hash == nil {
		return access.OAuthGrant{}, invalidGrant()
	}
	grant, ends, used, err := h.Tokens.UseRefresh(c.Request().Context(), hash, client.ID)
	switch {
	case err != nil:
		return grant, err
	case used:
		return grant, h.revokeReused(c, grant)
	case !h.Now().Before(ends):
		return grant, invalidGrant()
	}
	return grant, nil
}

func (h *Handler) revokeReused(c echo.Context, grant access.OAuthGrant) error {
	if err := h.revoke(c, grant, account.RevokedAsReused); err != nil {
		return err
	}
	return invalidGrant()
}

func (h *Handler) revoke(c echo.Context, grant access.OAuthGrant, reason string) error {
	// The user has not done this, and may not even be active any more.
	err := h.execute(c.Request().Context(), grant.User, h.meta(c, 0, fmt.Sprintf("oauth:%d", grant.ID)), account.RevokeApplication{Grant: grant.ID, Reason: reason})
	var missing *domain.NotFoundError
	if errors.As(err, &missing) {
		return nil // somebody was faster
	}
	return err
}

// handleRevoke ends what a token stands for, of whichever kind (RFC 7009).
func (h *Handler) handleRevoke(c echo.Context) error {
	client, err := h.authenticate(c)
	if err != nil {
		return h.explain(c, err)
	}
	token := c.Request().PostForm.Get("token")
	hash := credentials.OAuthAccess.Hash(token)
	if hash == nil {
		hash = credentials.OAuthRefresh.Hash(token)
	}
	if hash == nil {
		return c.NoContent(http.StatusOK)
	}
	grant, err := h.Tokens.GrantOf(c.Request().Context(), hash, client.ID)
	var missing *domain.NotFoundError
	if errors.As(err, &missing) {
		return c.NoContent(http.StatusOK) // as good as revoked
	}
	if err == nil {
		err = h.revoke(c, grant, account.RevokedByApplication)
	}
	if err != nil {
		return h.explain(c, err)
	}
	return c.NoContent(http.StatusOK)
}

// authenticate finds the application that sends a form, by its id and secret in the form or in
// the header, not both. Nothing in the address counts: addresses are written down.
func (h *Handler) authenticate(c echo.Context) (access.OAuthClient, error) {
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	if !parseForm(c) {
		return access.OAuthClient{}, &problem{"invalid_request", "the form cannot be read, or says something twice"}
	}
	sent := c.Request().PostForm
	id, secret := sent.Get("client_id"), sent.Get("client_secret")
	if c.Request().Header.Get("Authorization") != "" {
		user, password, ok := c.Request().BasicAuth()
		var errs [2]error
		user, errs[0] = url.QueryUnescape(user)
		password, errs[1] = url.QueryUnescape(password)
		if !ok || errors.Join(errs[:]...) != nil || secret != "" || id != "" && id != user {
			return access.OAuthClient{}, &problem{"invalid_request", "the client must say who it is either in the header or in the form"}
		}
		id, secret = user, password
	}
	client, err := h.client(c, id)
	var missing *domain.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return client, err
	}
	hash := credentials.OAuthClient.Hash(secret)
	if err != nil || hash == nil || subtle.ConstantTimeCompare(hash, client.SecretHash) != 1 {
		return access.OAuthClient{}, &problem{"invalid_client", "the client is not known, or its secret is not right"}
	}
	return client, nil
}

func (h *Handler) explain(c echo.Context, err error) error {
	var known *problem
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &known):
	case errors.As(err, &missing):
		errors.As(invalidGrant(), &known)
	default:
		h.Logger.ErrorContext(c.Request().Context(), "tokens could not be given", "error", err)
		return c.JSON(http.StatusServiceUnavailable, &problem{"temporarily_unavailable", "try again later"})
	}
	status := http.StatusBadRequest
	if known.Code == "invalid_client" {
		status = http.StatusUnauthorized
		c.Response().Header().Set("WWW-Authenticate", `Basic realm="Annal"`)
	}
	return c.JSON(status, known)
}
