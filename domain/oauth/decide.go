package oauth

import (
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
)

// Limits.
const (
	MaxName         = 255 // characters of a name
	MaxRedirectURIs = 10
	MaxRedirectURI  = 2000 // bytes of one
)

// State is an application as its events so far have made it. The zero State is one that does
// not exist.
type State struct {
	ID      domain.OAuthClientID
	Client  Client
	Deleted bool
}

// Evolve folds one event into the state.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case ClientCreated:
		s.ID, s.Client = e.ID, e.Client
	case ClientChanged:
		s.Client = e.Client
	case ClientDeleted:
		s = State{ID: s.ID, Deleted: true}
	}
	return s
}

// Command is something one may ask of an application: Create, Change, ChangeSecret or Delete.
type Command interface{ command() }

// Create makes an application known.
type Create struct {
	ID         domain.OAuthClientID
	ClientID   string
	SecretHash []byte
	Client     Client
}

// Change replaces what it is known by.
type Change struct{ Client Client }

// ChangeSecret replaces its secret.
type ChangeSecret struct{ Hash []byte }

// Delete shuts it out.
type Delete struct{}

func (Create) command()       {}
func (Change) command()       {}
func (ChangeSecret) command() {}
func (Delete) command()       {}

// Decide judges a command. It returns no event when nothing would change. Errors are
// *domain.InvalidError, *domain.ConflictError and *domain.NotFoundError.
func Decide(s State, command Command) ([]domain.Event, error) {
	if c, ok := command.(Create); ok {
		if s.ID != 0 {
			return nil, domain.Conflict("", "The application exists already.")
		}
		client, err := c.Client.checked()
		if err != nil {
			return nil, err
		}
		return []domain.Event{ClientCreated{ID: c.ID, ClientID: c.ClientID, SecretHash: c.SecretHash, Client: client}}, nil
	}
	if s.ID == 0 || s.Deleted {
		return nil, domain.NotFound("client", "The application does not exist.")
	}
	switch c := command.(type) {
	case Change:
		client, err := c.Client.checked()
		if err != nil || reflect.DeepEqual(client, s.Client) {
			return nil, err
		}
		return []domain.Event{ClientChanged{ID: s.ID, Client: client}}, nil
	case ChangeSecret:
		return []domain.Event{ClientSecretChanged{ID: s.ID, SecretHash: c.Hash}}, nil
	case Delete:
		return []domain.Event{ClientDeleted{ID: s.ID}}, nil
	}
	return nil, nil
}

func (c Client) checked() (Client, error) {
	if c.Name = strings.TrimSpace(c.Name); c.Name == "" {
		return c, domain.Invalid("name", "The application needs a name.")
	}
	if err := domain.CheckText("name", c.Name, MaxName, false); err != nil {
		return c, err
	}
	if len(c.RedirectURIs) == 0 || len(c.RedirectURIs) > MaxRedirectURIs {
		return c, domain.Invalid("redirectUris", "The application needs 1 to %d redirect URIs.", MaxRedirectURIs)
	}
	for i, uri := range c.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return c, err
		}
		if slices.Contains(c.RedirectURIs[:i], uri) {
			return c, domain.Invalid("redirectUris", "The redirect URI %s is given twice.", uri)
		}
	}
	var err error
	if c.Scopes, err = ParseScopes(c.Scopes); err == nil && len(c.Scopes) == 0 {
		err = domain.Invalid("scopes", "The application needs a scope. Use some of %s.", strings.Join(Scopes(), ", "))
	}
	return c, err
}

// What a redirect URI may be made of: it is written into a header and a content security policy,
// and nothing in it may be read in two ways.
var (
	redirectURI  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:[!-~]+$`)
	redirectHost = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
)

// checkRedirectURI follows RFC 6749, section 3.1.2, RFC 8252 and RFC 9700: absolute, without a
// fragment, over TLS except to the user's own machine. Of other schemes only those that have
// a dot, as the reversed domain of an application's maker has: never javascript or data.
func checkRedirectURI(uri string) error {
	parsed, err := url.Parse(uri)
	if err != nil || len(uri) > MaxRedirectURI || !redirectURI.MatchString(uri) || strings.ContainsAny(uri, "\\\"'<>`;,") || strings.Contains(uri, "#") || parsed.User != nil {
		return domain.Invalid("redirectUris", "A redirect URI must be an absolute URL of at most %d bytes of plain ASCII, without user and fragment.", MaxRedirectURI)
	}
	switch {
	case parsed.Scheme == "https" && redirectHost.MatchString(parsed.Host):
		return nil
	case parsed.Scheme == "http" && redirectHost.MatchString(parsed.Host) && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, parsed.Hostname()):
		return nil
	case strings.Contains(parsed.Scheme, "."):
		return nil
	}
	return domain.Invalid("redirectUris", "The redirect URI %s must begin with https://, or with http:// if it leads to the user's own machine, or with a scheme of the application's own such as org.example.app:", uri)
}
