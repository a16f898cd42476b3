package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/login"
	"github.com/annal-git/annal/api/oauth"
	"github.com/annal-git/annal/api/site"
	"github.com/annal-git/annal/projections/access"
)

// logins are the settings about how people log in with a browser.
type logins struct {
	SessionIdle   time.Duration `help:"How long a browser that sends no request stays logged in." default:"2h" placeholder:"DURATION" env:"ANNAL_SESSION_IDLE"`
	SessionLength time.Duration `help:"How long a browser stays logged in, whatever it does." default:"24h" placeholder:"DURATION" env:"ANNAL_SESSION_LENGTH"`
	RememberMe    time.Duration `help:"For how long after a log-in a browser that shall remember it logs in by itself." default:"720h" placeholder:"DURATION" env:"ANNAL_REMEMBER_ME"`

	OIDCIssuer           string   `name:"oidc-issuer" help:"Issuer of a provider of OpenID Connect that people may log in by, as https://id.example.org." placeholder:"URL" env:"ANNAL_OIDC_ISSUER"`
	OIDCClientID         string   `name:"oidc-client-id" help:"What the provider knows Annal as." placeholder:"ID" env:"ANNAL_OIDC_CLIENT_ID"`
	OIDCClientSecretFile string   `name:"oidc-client-secret-file" help:"File with Annal's secret at the provider." placeholder:"FILE" env:"ANNAL_OIDC_CLIENT_SECRET_FILE"`
	OIDCScopes           []string `name:"oidc-scopes" help:"Scopes asked of the provider." default:"openid,profile,email" placeholder:"NAME,..." env:"ANNAL_OIDC_SCOPES"`
	OIDCNameClaim        string   `name:"oidc-name-claim" help:"Claim that holds the user name." default:"preferred_username" placeholder:"NAME" env:"ANNAL_OIDC_NAME_CLAIM"`
	OIDCLinkByName       bool     `name:"oidc-link-by-name" help:"Take whom the provider calls by the name of a user for that user when he first comes: only if the provider lets nobody choose his name." env:"ANNAL_OIDC_LINK_BY_NAME"`
	OIDCCreateUsers      bool     `name:"oidc-create-users" help:"Create a user, who can log in, for whom there is none." env:"ANNAL_OIDC_CREATE_USERS"`
}

// maxSecretFile bounds a file with a secret, in bytes.
const maxSecretFile = 4096

func (l *logins) check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"session-idle", l.SessionIdle}, {"session-length", l.SessionLength}, {"remember-me", l.RememberMe}} {
		if d.value < time.Minute {
			return &settingError{d.name, d.value.String(), "use a duration of at least 1m, such as 2h"}
		}
	}
	if l.OIDCIssuer == "" {
		return nil
	}
	if err := checkURL("oidc-issuer", l.OIDCIssuer, []string{"https", "http"}); err != nil {
		return err
	}
	if issuer, err := url.Parse(l.OIDCIssuer); err == nil && issuer.Scheme == "http" && issuer.Hostname() != "localhost" && issuer.Hostname() != "127.0.0.1" {
		return &settingError{"oidc-issuer", l.OIDCIssuer, "use https, except for a provider on the same machine"}
	}
	if l.OIDCClientID == "" {
		return &settingError{"oidc-client-id", "", "with oidc-issuer, set what the provider knows Annal as"}
	}
	return nil
}

func (l *logins) sessions(pool *pgxpool.Pool, base *url.URL) credentials.Sessions {
	return credentials.Sessions{Store: access.NewSessions(pool), BaseURL: base, Idle: l.SessionIdle, Longest: l.SessionLength, Remember: l.RememberMe}
}

// secret reads Annal's secret at the provider.
func (l *logins) secret() (string, error) {
	if l.OIDCClientSecretFile == "" {
		return "", nil
	}
	info, err := os.Stat(l.OIDCClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("oidc-client-secret-file: %w", err)
	}
	if info.Size() > maxSecretFile {
		return "", fmt.Errorf("oidc-client-secret-file: %s is larger than %d bytes", l.OIDCClientSecretFile, maxSecretFile)
	}
	text, err := os.ReadFile(l.OIDCClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("oidc-client-secret-file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// loginParts are the pages where people log in, and let applications in.
func (n *node) loginParts(users *access.Reader, who *credentials.Authenticator, base *url.URL) ([]site.Part, error) {
	l := &n.settings.Logins
	var provider *login.Provider
	if l.OIDCIssuer != "" {
		secret, err := l.secret()
		if err != nil {
			return nil, err
		}
		provider = login.NewProvider(login.ProviderConfig{
			Issuer: l.OIDCIssuer, ClientID: l.OIDCClientID, ClientSecret: secret, Scopes: l.OIDCScopes, NameClaim: l.OIDCNameClaim,
			RedirectURL: n.settings.BaseURL + "/login/oidc/callback",
			Accounts: login.Accounts{
				Log: n.events, Users: users, LinkByName: l.OIDCLinkByName, Create: l.OIDCCreateUsers, Seats: n.settings.LicensedUsers,
			},
		})
	}
	return []site.Part{
		login.New(login.Config{Credentials: who, BaseURL: base, Provider: provider, Logger: n.log}),
		oauth.New(oauth.Config{Log: n.events, Users: users, Tokens: access.NewOAuthTokens(n.pool), Credentials: who, BaseURL: base, Logger: n.log}),
	}, nil
}
