package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/page"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/projections/access"
)

// maxState bounds what an application gets back as it was, in bytes.
const maxState = 2048

// question is what an application asks a user.
type question struct {
	client      access.OAuthClient
	redirectURI string
	scopes      []string
	state       string
	challenge   string
}

// fault is what is wrong with a question, in the words of RFC 6749, section 4.1.2.1. The
// application is told if it is known where it is.
type fault struct {
	code, description string
	tell              bool
}

// read reads a question from parameters.
func (h *Handler) read(c echo.Context, values url.Values) (question, *fault, error) {
	q := question{redirectURI: values.Get("redirect_uri"), state: values.Get("state"), challenge: values.Get("code_challenge")}
	if !once(values) {
		return q, &fault{"invalid_request", "The application gives a parameter twice.", false}, nil
	}
	var err error
	q.client, err = h.client(c, values.Get("client_id"))
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &missing):
		return q, &fault{"invalid_request", "The application is not known here.", false}, nil
	case err != nil:
		return q, nil, err
	case !slices.Contains(q.client.RedirectURIs, q.redirectURI):
		return q, &fault{"invalid_request", "The application wants you to be sent to an address that is not registered.", false}, nil
	}
	method := values.Get("code_challenge_method")
	digest, err := base64.RawURLEncoding.Strict().DecodeString(q.challenge)
	switch {
	case len(q.state) > maxState:
		q.state = ""
		return q, &fault{"invalid_request", "state is limited to " + strconv.Itoa(maxState) + " bytes", true}, nil
	case values.Get("response_type") != "code":
		return q, &fault{"unsupported_response_type", "response_type must be code", true}, nil
	case q.challenge == "" && method != "", q.challenge != "" && (method != "S256" || err != nil || len(digest) != sha256.Size):
		return q, &fault{"invalid_request", "code_challenge must be one of code_challenge_method S256", true}, nil
	}
	q.scopes = q.client.Scopes
	if asked := strings.Fields(values.Get("scope")); len(asked) > 0 {
		q.scopes, err = oauth.ParseScopes(asked)
		if err != nil || slices.ContainsFunc(q.scopes, func(s string) bool { return !slices.Contains(q.client.Scopes, s) }) {
			return q, &fault{"invalid_scope", "the application may ask for " + strings.Join(q.client.Scopes, " "), true}, nil
		}
	}
	return q, nil, nil
}

func (h *Handler) client(c echo.Context, id string) (access.OAuthClient, error) {
	if len(id) > 64 || strings.ContainsRune(id, 0) {
		return access.OAuthClient{}, domain.NotFound("client", "The application does not exist.")
	}
	return h.Users.OAuthClientByName(c.Request().Context(), id)
}

var consent = page.Parse(`{{define "title"}}Let {{.Application}} in?{{end}}
{{define "main"}}
<p>The application <strong>{{.Application}}</strong> asks to act for you, {{.User}}. It would be able to:</p>
<ul>{{range .Meanings}}<li>{{.}}</li>{{end}}</ul>
<p>You will be sent to {{.Where}}. You can shut it out again at any time.</p>
<form method="post" action="{{.Action}}">
{{range $name, $value := .Hidden}}<input type="hidden" name="{{$name}}" value="{{$value}}">
{{end}}<button name="decision" value="allow">Let it in</button>
<button name="decision" value="deny">Refuse</button>
</form>
{{end}}`)

// handleAsk asks the user.
func (h *Handler) handleAsk(c echo.Context) error {
	q, wrong, err := h.read(c, c.QueryParams())
	if err != nil {
		return h.fail(c, err)
	}
	if wrong != nil {
		return h.refuse(c, q, wrong)
	}
	caller, err := h.Credentials.Visit(c.Response(), c.Request())
	if refused := (*credentials.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		return h.fail(c, err)
	}
	if caller.CSRF == "" { // neither a token nor a password that a program sends can speak for a user here
		page.Guard(c.Response().Header())
		return c.Redirect(http.StatusSeeOther, h.base+"/login?"+url.Values{"next": {c.Request().URL.RequestURI()}}.Encode())
	}
	target, err := url.Parse(q.redirectURI)
	if err != nil {
		return h.fail(c, err)
	}
	where, source := target.Host, target.Scheme+"://"+target.Host
	if target.Host == "" {
		where, source = "an application on your machine", target.Scheme+":"
	}
	h.name(c, caller)
	return page.Show(c.Response(), http.StatusOK, consent, struct {
		Application, User, Where, Action string
		Meanings                         []string
		Hidden                           map[string]string
	}{
		q.client.Name, caller.User.Name, where, h.base + c.Request().URL.Path, oauth.Meanings(q.scopes), map[string]string{
			"client_id": q.client.ClientID, "redirect_uri": q.redirectURI, "scope": strings.Join(q.scopes, " "), "state": q.state,
			"code_challenge": q.challenge, "code_challenge_method": c.QueryParam("code_challenge_method"), "response_type": "code",
			credentials.FieldCSRF: caller.CSRF,
		},
	}, source)
}

// handleDecision does what the user has said.
func (h *Handler) handleDecision(c echo.Context) error {
	if !parseForm(c) {
		return page.Say(c.Response(), http.StatusBadRequest, page.Message{Title: "Not done", Text: "The form cannot be read."})
	}
	caller, err := h.Credentials.Visit(c.Response(), c.Request())
	forged, refused := (*credentials.ForgeryError)(nil), (*credentials.RefusedError)(nil)
	switch {
	case errors.As(err, &forged), errors.As(err, &refused), err == nil && caller.CSRF == "":
		return page.Say(c.Response(), http.StatusForbidden, page.Message{Title: "Not done", Text: "You are no longer logged in, or this came from another site. Go back to the application and begin again."})
	case err != nil:
		return h.fail(c, err)
	}
	h.name(c, caller)
	sent := c.Request().PostForm
	q, wrong, err := h.read(c, sent)
	if err != nil {
		return h.fail(c, err)
	}
	if wrong == nil && sent.Get("decision") != "allow" {
		wrong = &fault{"access_denied", "the user has refused", true}
	}
	if wrong != nil {
		return h.refuse(c, q, wrong)
	}
	ctx := c.Request().Context()
	number, err := h.Log.NextID(ctx, "oauth_grant")
	if err != nil {
		return h.fail(c, err)
	}
	grant := account.GrantID(number)
	err = h.execute(ctx, caller.User.ID, h.meta(c, caller.User.ID, caller.Auth), account.AuthorizeApplication{Grant: grant, Client: q.client.ID, Scopes: q.scopes})
	if err != nil {
		return h.fail(c, err)
	}
	code, hash := credentials.OAuthCode.New()
	if err := h.Tokens.SaveCode(ctx, hash, access.Code{Grant: grant, RedirectURI: q.redirectURI, Challenge: q.challenge, Ends: h.Now().Add(codeFor)}); err != nil {
		return h.fail(c, err)
	}
	return h.sendBack(c, q, url.Values{"code": {code}})
}

func (h *Handler) name(c echo.Context, caller credentials.Caller) {
	c.Response().Header().Set("X-AUSERNAME", caller.User.Name)
	c.Response().Header().Set("X-AUSERID", strconv.FormatInt(int64(caller.User.ID), 10))
}

// refuse tells the application, or the user if nobody knows where that is: nobody is ever sent
// to an address that is not registered.
func (h *Handler) refuse(c echo.Context, q question, f *fault) error {
	if !f.tell {
		return page.Say(c.Response(), http.StatusBadRequest, page.Message{Title: "Not done", Text: f.description + " Tell whoever runs it."})
	}
	return h.sendBack(c, q, url.Values{"error": {f.code}, "error_description": {f.description}})
}

func (h *Handler) sendBack(c echo.Context, q question, answer url.Values) error {
	target, err := url.Parse(q.redirectURI)
	if err != nil {
		return h.fail(c, err)
	}
	if q.state != "" {
		answer.Set("state", q.state)
	}
	if target.RawQuery != "" {
		target.RawQuery += "&"
	}
	target.RawQuery += answer.Encode()
	page.Guard(c.Response().Header())
	return c.Redirect(http.StatusSeeOther, target.String())
}

func (h *Handler) fail(c echo.Context, err error) error {
	var conflict *domain.ConflictError
	if errors.As(err, &conflict) {
		return page.Say(c.Response(), http.StatusConflict, page.Message{Title: "Not done", Text: conflict.Message})
	}
	h.Logger.ErrorContext(c.Request().Context(), "authorization of an application failed", "error", err)
	return page.Say(c.Response(), http.StatusServiceUnavailable, page.Message{Title: "Not done", Text: "This does not work at the moment. Try again later; the node's log says more."})
}
