package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/projections/access"
)

// Caller is who sends a request.
type Caller struct {
	User access.User // ID 0: nobody logged in
	Auth string      // how, for domain.Metadata
	// Scopes are what a token is limited to; nil for a password. They say nothing
	// about what the user himself may do.
	Scopes []rights.Permission
	Until  time.Time // when the token or key ends; zero: never, or a password
}

// Anonymous reports whether nobody logged in.
func (c Caller) Anonymous() bool { return c.User.ID == 0 }

// Covers reports whether the way the caller logged in lets him use a permission, if
// he has it. A token never carries the rights of an administrator of the whole
// installation; making projects takes a token for administering projects.
func (c Caller) Covers(need rights.Permission) bool {
	if c.Scopes == nil {
		return true
	}
	switch need {
	case rights.LicensedUser:
		return true
	case rights.ProjectCreate:
		need = rights.ProjectAdmin
	}
	for _, scope := range c.Scopes {
		if scope.Implies(need) {
			return true
		}
	}
	return false
}

// RefusedError says that a request's credentials are not right.
type RefusedError struct {
	// Malformed says that they could not even be read.
	Malformed bool
}

func (e *RefusedError) Error() string {
	if e.Malformed {
		return "the Authorization header cannot be understood"
	}
	return "invalid username or password, or invalid token"
}

// tokenUser is the user name that goes with a token when the client insists on one.
const tokenUser = "x-token-auth"

// Authenticator proves callers. It is safe for concurrent use.
type Authenticator struct {
	users      *access.Reader
	hasher     *hasher
	remembered *remembered
	now        func() time.Time
}

// Options of an Authenticator; all have defaults.
type Options struct {
	// Parallel is how many passwords are hashed at the same time, each in 19 MiB.
	// The default is one for each processor.
	Parallel int
	Now      func() time.Time
}

// New makes an Authenticator.
func New(users *access.Reader, options Options) *Authenticator {
	if options.Parallel == 0 {
		options.Parallel = runtime.GOMAXPROCS(0)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Authenticator{
		users: users, hasher: newHasher(options.Parallel), remembered: newRemembered(options.Now), now: options.Now,
	}
}

// HashPassword makes the hash to store of a new password. Errors are
// *domain.InvalidError for a password that cannot be used, and ctx.Err().
func (a *Authenticator) HashPassword(ctx context.Context, password string) (string, error) {
	switch {
	case password == "":
		return "", domain.Invalid("password", "The password must not be empty.")
	case len(password) > maxPassword || !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return "", domain.Invalid("password", "The password must be text of at most %d bytes.", maxPassword)
	case isToken(password):
		return "", domain.Invalid("password", "The password must not look like a token.")
	}
	return a.hasher.hash(ctx, password)
}

// Authenticate finds out who sends a request. Without an Authorization header it is
// nobody. Wrong credentials are a *RefusedError.
func (a *Authenticator) Authenticate(r *http.Request) (Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return Caller{}, nil
	}
	scheme, value, _ := strings.Cut(header, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return a.Token(r.Context(), "", strings.TrimSpace(value))
	case strings.EqualFold(scheme, "Basic"):
		name, secret, ok := r.BasicAuth()
		if !ok {
			return Caller{}, &RefusedError{Malformed: true}
		}
		if isToken(secret) {
			if strings.EqualFold(name, tokenUser) {
				name = ""
			} else if name == "" {
				return Caller{}, &RefusedError{}
			}
			return a.Token(r.Context(), name, secret)
		}
		return a.Password(r.Context(), name, secret)
	}
	return Caller{}, &RefusedError{Malformed: true}
}

// Password finds the caller with a name and a password. Wrong ones are a
// *RefusedError.
func (a *Authenticator) Password(ctx context.Context, name, password string) (Caller, error) {
	if name == "" || password == "" || len(password) > maxPassword || !plain(name) {
		return Caller{}, &RefusedError{}
	}
	login, err := a.users.LoginByName(ctx, name)
	var missing *domain.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return Caller{}, err
	}
	entry := a.remembered.entry(login.ID, login.PasswordVersion, password)
	if login.PasswordHash == "" || !a.remembered.has(entry) {
		right, err := a.hasher.verify(ctx, password, login.PasswordHash)
		if err != nil {
			return Caller{}, fmt.Errorf("verify a password: %w", err)
		}
		if !right {
			return Caller{}, &RefusedError{}
		}
		a.remembered.add(entry)
	}
	if !login.Active || !login.Licensed {
		return Caller{}, &RefusedError{}
	}
	return Caller{User: login.User, Auth: "password"}, nil
}

// Token finds the caller with a token, who must have the name given unless that is
// empty. Unknown, revoked and expired tokens are a *RefusedError.
func (a *Authenticator) Token(ctx context.Context, name, token string) (Caller, error) {
	if !isToken(token) {
		return Caller{}, &RefusedError{}
	}
	login, found, err := a.users.TokenByHash(ctx, hashToken(token))
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &missing):
		return Caller{}, &RefusedError{}
	case err != nil:
		return Caller{}, err
	case !login.Active, !login.Licensed, found.Expired(a.now()), name != "" && !strings.EqualFold(name, login.Name):
		return Caller{}, &RefusedError{}
	}
	caller := Caller{User: login.User, Auth: fmt.Sprintf("token:%d", found.ID), Scopes: found.Permissions}
	if found.Expires != nil {
		caller.Until = *found.Expires
	}
	return caller, nil
}

// plain reports whether a database can be asked about s.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
