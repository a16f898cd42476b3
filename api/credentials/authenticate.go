package credentials

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
)

// Caller is who sends a request.
type Caller struct {
	User access.User // ID 0: nobody logged in
	Auth string      // how, for domain.Metadata
	// Scopes are what a token is limited to; nil for a password. They say nothing
	// about what the user himself may do.
	Scopes []rights.Permission
	Until  time.Time // when the token, key or session ends; zero: never, or a password
	// Application says that an application acts for the user, and Profile that it may change
	// his profile.
	Application, Profile bool
	// CSRF is the token of a session, which shows that a request comes from a page that was made
	// for it; "" without a session.
	CSRF string
}

// Anonymous reports whether nobody logged in.
func (c Caller) Anonymous() bool { return c.User.ID == 0 }

// Covers reports whether the way the caller logged in lets him use a permission, if
// he has it. Only tokens of applications can carry the rights of an administrator of the whole
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
	users       *access.Reader
	hasher      *hasher
	remembered  *remembered
	now         func() time.Time
	attempts    *access.Attempts
	sessions    Sessions
	crossOrigin *http.CrossOriginProtection
	address     func(*http.Request) string
	shortest    int
	used        func(ctx context.Context, id account.TokenID)
	refused     func(ctx context.Context, user domain.UserID, name string)
	verifying   singleflight.Group // what is being verified, by entry of remembered
}

// Options of an Authenticator; all have defaults.
type Options struct {
	// Attempts limits how often passwords can be tried; nil does not.
	Attempts *access.Attempts
	// Address finds the address that a request comes from; nil means that of the connection.
	Address func(*http.Request) string
	// ShortestPassword is how many characters a new password must have; the default is 8.
	ShortestPassword int
	// Parallel is how many passwords are hashed at the same time, each in 19 MiB.
	// The default is one for each processor.
	Parallel int
	Sessions Sessions
	// Refused is told of every password and token that does not let in, with the name that came with
	// it and the user of that name, or whose token it is; either may be empty. It must be quick; nil
	// is nobody.
	Refused func(ctx context.Context, user domain.UserID, name string)
	// Used is told whenever a token lets somebody in. It must be quick; nil is nobody.
	Used func(ctx context.Context, id account.TokenID)
	Now  func() time.Time
}

// New makes an Authenticator.
func New(users *access.Reader, options Options) *Authenticator {
	if options.Parallel == 0 {
		options.Parallel = runtime.GOMAXPROCS(0)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Address == nil {
		options.Address = connectionAddress
	}
	if options.Refused == nil {
		options.Refused = func(context.Context, domain.UserID, string) {}
	}
	if options.ShortestPassword == 0 {
		options.ShortestPassword = DefaultShortestPassword
	}
	options.Sessions.complete()
	crossOrigin := http.NewCrossOriginProtection()
	if base := options.Sessions.BaseURL; base != nil {
		// What cannot be the origin of a page is not told by browsers either.
		_ = crossOrigin.AddTrustedOrigin(base.Scheme + "://" + base.Host)
	}
	return &Authenticator{
		sessions: options.Sessions, crossOrigin: crossOrigin,
		users: users, hasher: newHasher(options.Parallel), remembered: newRemembered(options.Now), now: options.Now,
		attempts: options.Attempts, address: options.Address, shortest: options.ShortestPassword, used: options.Used, refused: options.Refused,
	}
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
		if isToken(secret) || OAuthAccess.Hash(secret) != nil {
			if strings.EqualFold(name, tokenUser) {
				name = ""
			} else if name == "" {
				return Caller{}, &RefusedError{}
			}
			return a.Token(r.Context(), name, secret)
		}
		return a.Password(r, name, secret)
	}
	return Caller{}, &RefusedError{Malformed: true}
}

// authPassword is how a caller with a password logged in.
const authPassword = "password"

// Password finds the caller with a name and a password, who sends a request. Wrong ones are a
// *RefusedError, and so are right ones after too many that were wrong.
func (a *Authenticator) Password(r *http.Request, name, password string) (Caller, error) {
	login, err := a.password(r, name, password)
	if err != nil {
		return Caller{}, err
	}
	return Caller{User: login.User, Auth: authPassword}, nil
}

func (a *Authenticator) password(r *http.Request, name, password string) (access.Login, error) {
	if name == "" || password == "" || len(password) > maxPassword || !plain(name) {
		a.refused(r.Context(), 0, name)
		return access.Login{}, &RefusedError{}
	}
	ctx := r.Context()
	login, err := a.users.LoginByName(ctx, name)
	var missing *domain.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return access.Login{}, err
	}
	address := network(a.address(r))
	entry := a.remembered.entry(login.ID, login.PasswordVersion, name, address, password)
	if login.PasswordHash == "" || !a.remembered.has(entry) {
		right, err := a.verify(ctx, entry, login, access.Attempt{Name: name, Address: address}, password)
		if err != nil {
			return access.Login{}, fmt.Errorf("verify a password: %w", err)
		}
		if !right {
			a.refused(ctx, login.ID, name)
			return access.Login{}, &RefusedError{}
		}
	}
	if !login.Active || !login.Licensed {
		a.refused(ctx, login.ID, name)
		return access.Login{}, &RefusedError{}
	}
	return login, nil
}

// verifyTimeout bounds what requests wait for together.
const verifyTimeout = 30 * time.Second

// verify reports whether a password is right and may be tried. Requests that bring the same
// one at the same moment are one attempt.
func (a *Authenticator) verify(ctx context.Context, entry [32]byte, login access.Login, attempt access.Attempt, password string) (bool, error) {
	right, err, _ := a.verifying.Do(string(entry[:]), func() (any, error) {
		// The one who waits may leave while others wait on.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyTimeout)
		defer cancel()
		if attempt.PasswordHash = login.PasswordHash; attempt.PasswordHash == "" {
			attempt.PasswordHash = a.hasher.decoy
		}
		if a.attempts != nil {
			if allowed, err := a.attempts.Begin(ctx, &attempt); err != nil || !allowed {
				return false, err
			}
		}
		right, err := a.hasher.verify(ctx, password, login.PasswordHash)
		if err != nil || !right {
			return false, err
		}
		if a.attempts != nil && login.Active && login.Licensed {
			if err := a.attempts.Succeeded(ctx, &attempt); err != nil {
				return false, err
			}
		}
		a.remembered.add(entry)
		return true, nil
	})
	if err != nil {
		return false, err
	}
	return right.(bool), nil
}

func connectionAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// network is what an address stands for when attempts are counted: itself, or of IPv6 the
// network of 2^64 addresses that one customer has.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		if prefix, err := ip.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}

// Token finds the caller with a token, who must have the name given unless that is
// empty. Unknown, revoked and expired tokens are a *RefusedError.
func (a *Authenticator) Token(ctx context.Context, name, token string) (Caller, error) {
	if OAuthAccess.Hash(token) != nil {
		return a.application(ctx, name, token)
	}
	if !isToken(token) {
		a.refused(ctx, 0, name)
		return Caller{}, &RefusedError{}
	}
	login, found, err := a.users.TokenByHash(ctx, hashToken(token))
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &missing):
		a.refused(ctx, 0, name)
		return Caller{}, &RefusedError{}
	case err != nil:
		return Caller{}, err
	case !mayLogIn(login), found.Expired(a.now()), name != "" && !strings.EqualFold(name, login.Name):
		a.refused(ctx, login.ID, name)
		return Caller{}, &RefusedError{}
	}
	caller := Caller{User: login.User, Auth: fmt.Sprintf("token:%d", found.ID), Scopes: found.Permissions}
	if found.Expires != nil {
		caller.Until = *found.Expires
	}
	if a.used != nil {
		a.used(ctx, found.ID)
	}
	return caller, nil
}

// mayLogIn reports whether a user may log in: one who is active, and is permitted to, unless he is
// but the holder of an access key or of a token of a project or repository.
func mayLogIn(login access.Login) bool { return login.Active && (login.Licensed || login.Type.Holds()) }

// plain reports whether a database can be asked about s.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
