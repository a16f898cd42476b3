package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/projections/access"
)

// Sessions says how browsers stay logged in. Without a Store they do not.
type Sessions struct {
	Store *access.Sessions
	// BaseURL is where users reach the installation; with https cookies are sent over TLS only.
	BaseURL *url.URL
	// Idle ends a session that is not used, Longest one that is, and Remember is for how long
	// after a log-in a browser that shall remember it may begin new ones. The defaults are 2 hours,
	// 24 hours and 30 days.
	Idle, Longest, Remember time.Duration
}

func (s *Sessions) complete() {
	for _, d := range []struct {
		value  *time.Duration
		absent time.Duration
	}{{&s.Idle, 2 * time.Hour}, {&s.Longest, 24 * time.Hour}, {&s.Remember, 30 * 24 * time.Hour}} {
		if *d.value == 0 {
			*d.value = d.absent
		}
	}
}

// ForgeryError says that a request that changes something was sent by a browser on its own
// account, with a cookie or a password it remembers, and that nothing shows that a page of this
// installation asked it to.
type ForgeryError struct{}

func (*ForgeryError) Error() string {
	return "XSRF check failed: send the header X-Atlassian-Token: no-check, or the session's token as " + HeaderCSRF
}

// What shows that a request comes from a page of this installation, besides what browsers say
// by themselves: a header that pages of other sites cannot send, or a token that they cannot
// read.
const (
	HeaderCSRF = "X-CSRF-Token"
	FieldCSRF  = "csrf" // of a form that has been parsed
)

// Names of the cookies. With the prefix, browsers take them from this host over TLS only.
const (
	sessionCookie  = "annal-session"
	rememberCookie = "annal-remember"
	securePrefix   = "__Host-"
)

// secretBytes is the randomness of what cookies hold.
const secretBytes = 32

// Visit is Authenticate for everything that browsers send requests to: it knows sessions, too,
// and begins one for a browser that remembers a log-in. A cookie that is worth nothing, or
// nothing any more, is that of nobody. Requests that change something and could be forged are a
// *ForgeryError.
func (a *Authenticator) Visit(w http.ResponseWriter, r *http.Request) (Caller, error) {
	if r.Header.Get("Authorization") != "" || a.sessions.Store == nil {
		caller, err := a.Authenticate(r)
		if err == nil && caller.Auth == authPassword && a.CrossSite(r) {
			return Caller{}, &ForgeryError{}
		}
		return caller, err
	}
	caller, err := a.session(r)
	if err != nil {
		return Caller{}, err
	}
	if !caller.Anonymous() {
		if !safe(r) && (a.CrossSite(r) || !vouched(r, caller.CSRF)) {
			return Caller{}, &ForgeryError{}
		}
		return caller, nil
	}
	if safe(r) || !a.CrossSite(r) && vouched(r, "") {
		return a.recall(w, r)
	}
	return Caller{}, nil
}

// CrossSite reports whether a browser says that a request that changes something was caused by
// a page of another site. What is not a browser says nothing.
func (a *Authenticator) CrossSite(r *http.Request) bool { return a.crossOrigin.Check(r) != nil }

func safe(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

// vouched reports whether a request has what pages of other sites cannot send along.
func vouched(r *http.Request, token string) bool {
	if header := r.Header.Get("X-Atlassian-Token"); header == "no-check" || header == "nocheck" {
		return true
	}
	given := r.Header.Get(HeaderCSRF)
	if given == "" && r.PostForm != nil {
		given = r.PostForm.Get(FieldCSRF)
	}
	return token != "" && hmac.Equal([]byte(given), []byte(token))
}

// session finds the caller whose session a request names; nobody if it is over.
func (a *Authenticator) session(r *http.Request) (Caller, error) {
	secret := a.cookie(r, sessionCookie)
	if secret == nil {
		return Caller{}, nil
	}
	login, found, err := a.sessions.Store.Find(r.Context(), digest(secret), a.now(), a.sessions.Idle)
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &missing), err == nil && !login.Licensed:
		return Caller{}, nil
	case err != nil:
		return Caller{}, err
	}
	return sessionCaller(login, found.ID, found.Ends, secret), nil
}

func sessionCaller(login access.Login, id int64, ends time.Time, secret []byte) Caller {
	return Caller{User: login.User, Auth: fmt.Sprintf("session:%d", id), Until: ends, CSRF: csrfToken(secret)}
}

// csrfToken is a session's token: only who has the cookie could work it out, and it does not
// tell the cookie.
func csrfToken(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("csrf"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// LogIn begins a session for the user with a name and a password, and has the browser remember
// it if it shall. Errors are those of Password.
func (a *Authenticator) LogIn(w http.ResponseWriter, r *http.Request, name, password string, remember bool) (Caller, error) {
	login, err := a.password(r, name, password)
	if err != nil {
		return Caller{}, err
	}
	return a.Begin(w, r, login, remember)
}

// Begin begins a session for a user who has proved himself. The one that the browser had before
// is over, whosever it was: nobody can give him one to use. A user who may not log in is a
// *RefusedError.
func (a *Authenticator) Begin(w http.ResponseWriter, r *http.Request, login access.Login, remember bool) (Caller, error) {
	if !login.Active || !login.Licensed || a.sessions.Store == nil {
		return Caller{}, &RefusedError{}
	}
	if err := a.LogOut(w, r); err != nil {
		return Caller{}, err
	}
	var family []byte
	if remember {
		selector, secret := random(), random()
		family = digest(selector)
		now := a.now()
		err := a.sessions.Store.Remember(r.Context(), access.Remembered{
			Family: family, Hash: digest(secret), User: login.ID, Epoch: login.SessionEpoch, Ends: now.Add(a.sessions.Remember),
		}, now)
		if err != nil {
			return Caller{}, err
		}
		a.setRemember(w, selector, secret, now.Add(a.sessions.Remember))
	}
	return a.begin(r.Context(), w, login, family)
}

func (a *Authenticator) begin(ctx context.Context, w http.ResponseWriter, login access.Login, family []byte) (Caller, error) {
	secret, now := random(), a.now()
	ends := now.Add(a.sessions.Longest)
	id, err := a.sessions.Store.Begin(ctx, login, digest(secret), family, now, ends)
	if err != nil {
		return Caller{}, err
	}
	a.setCookie(w, sessionCookie, base64.RawURLEncoding.EncodeToString(secret), time.Time{})
	return sessionCaller(login, id, ends, secret), nil
}

// recall begins a session for a browser that remembers a log-in.
func (a *Authenticator) recall(w http.ResponseWriter, r *http.Request) (Caller, error) {
	selector, secret := a.rememberedCookie(r)
	if selector == nil {
		return Caller{}, nil
	}
	next := random()
	login, found, err := a.sessions.Store.Recall(r.Context(), digest(selector), digest(secret), digest(next), a.now())
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &missing), err == nil && !login.Licensed:
		a.clearCookie(w, rememberCookie)
		return Caller{}, nil
	case err != nil:
		return Caller{}, err
	}
	if found.Current {
		a.setRemember(w, selector, next, found.Ends)
	}
	return a.begin(r.Context(), w, login, found.Family)
}

// LogOut ends the session that a request brings, if it does, and the browser forgets it.
func (a *Authenticator) LogOut(w http.ResponseWriter, r *http.Request) error {
	if a.sessions.Store == nil {
		return nil
	}
	if secret := a.cookie(r, sessionCookie); secret != nil {
		if err := a.sessions.Store.End(r.Context(), digest(secret)); err != nil {
			return err
		}
		a.clearCookie(w, sessionCookie)
	}
	if selector, _ := a.rememberedCookie(r); selector != nil {
		if err := a.sessions.Store.Forget(r.Context(), digest(selector)); err != nil {
			return err
		}
		a.clearCookie(w, rememberCookie)
	}
	return nil
}

// secure reports whether cookies are for TLS only.
func (a *Authenticator) secure() bool {
	return a.sessions.BaseURL != nil && a.sessions.BaseURL.Scheme == "https"
}

// CookieName is the name of a cookie of this installation.
func (a *Authenticator) CookieName(name string) string {
	if a.secure() {
		return securePrefix + name
	}
	return name
}

// Cookie makes a cookie that no script can read and that other sites cannot have sent along with
// what changes something. It lasts as long as the browser runs unless it has an end.
func (a *Authenticator) Cookie(name, value string, ends time.Time) *http.Cookie {
	c := &http.Cookie{Name: a.CookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: a.secure(), SameSite: http.SameSiteLaxMode}
	if !ends.IsZero() {
		c.Expires, c.MaxAge = ends, max(int(ends.Sub(a.now()).Seconds()), 1)
	}
	return c
}

func (a *Authenticator) setCookie(w http.ResponseWriter, name, value string, ends time.Time) {
	set(w, a.Cookie(name, value, ends))
}

func (a *Authenticator) setRemember(w http.ResponseWriter, selector, secret []byte, ends time.Time) {
	encode := base64.RawURLEncoding.EncodeToString
	a.setCookie(w, rememberCookie, encode(selector)+"."+encode(secret), ends)
}

func (a *Authenticator) clearCookie(w http.ResponseWriter, name string) {
	c := a.Cookie(name, "", time.Time{})
	c.MaxAge = -1
	set(w, c)
}

// set writes a cookie in place of one of that name that has been written already.
func set(w http.ResponseWriter, c *http.Cookie) {
	header := w.Header()
	before := header.Values("Set-Cookie")
	header.Del("Set-Cookie")
	for _, line := range before {
		if !strings.HasPrefix(line, c.Name+"=") {
			header.Add("Set-Cookie", line)
		}
	}
	http.SetCookie(w, c)
	header.Set("Cache-Control", "no-store")
}

func (a *Authenticator) cookie(r *http.Request, name string) []byte {
	c, err := r.Cookie(a.CookieName(name))
	if err != nil {
		return nil
	}
	return decodeSecret(c.Value)
}

func (a *Authenticator) rememberedCookie(r *http.Request) (selector, secret []byte) {
	c, err := r.Cookie(a.CookieName(rememberCookie))
	if err != nil {
		return nil, nil
	}
	first, second, _ := strings.Cut(c.Value, ".")
	selector, secret = decodeSecret(first), decodeSecret(second)
	if selector == nil || secret == nil {
		return nil, nil
	}
	return selector, secret
}

func decodeSecret(text string) []byte {
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != secretBytes {
		return nil
	}
	return secret
}

func random() []byte {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return secret
}

func digest(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}
