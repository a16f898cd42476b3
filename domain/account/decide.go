package account

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// MaxTokens is how many live tokens a user, a project or a repository may have.
const MaxTokens = 100

// State is a user as his events so far have made him. The zero State is a user who
// does not exist.
type State struct {
	ID       domain.UserID
	Type     Type
	Profile  Profile
	Inactive bool
	Erased   bool              // for ever; Inactive too, and nothing of the rest is left
	Tokens   map[TokenID]Token // live ones; expired ones stay until they are revoked
	SSHKeys  map[SSHKeyID]struct{}

	Identities map[string]string                // subject by issuer
	Grants     map[GrantID]domain.OAuthClientID // live ones; those of a removed client stay
}

// Token is what the decisions need of a personal access token.
type Token struct {
	Name        string
	Permissions []access.Permission
}

// Evolve folds one event into the state. Events of other aggregates in the same
// stream leave it as it is.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case Created:
		s.ID, s.Type, s.Profile = e.ID, e.Type, e.Profile
	case ProfileChanged:
		s.Profile = e.Profile
	case Deactivated:
		s.Inactive = true
	case Activated:
		s.Inactive = false
	case TokenCreated:
		s.Tokens = withToken(s.Tokens, e.ID, Token{Name: e.Details.Name, Permissions: e.Permissions})
	case TokenChanged:
		s.Tokens = withToken(s.Tokens, e.ID, Token{Name: e.Details.Name, Permissions: e.Permissions})
	case TokenRevoked:
		s.Tokens = maps.Clone(s.Tokens)
		delete(s.Tokens, e.ID)
	case SSHKeyAdded:
		s.SSHKeys = withSSHKey(s.SSHKeys, e.ID)
	case SSHKeyRemoved:
		s.SSHKeys = maps.Clone(s.SSHKeys)
		delete(s.SSHKeys, e.ID)
	case IdentityLinked:
		s.Identities = withIdentity(s.Identities, e.Identity)
	case ApplicationAuthorized:
		s.Grants = withGrant(s.Grants, e.Grant, e.Client)
	case ApplicationRevoked:
		s.Grants = maps.Clone(s.Grants)
		delete(s.Grants, e.Grant)
	case Erased:
		s = State{ID: s.ID, Type: s.Type, Inactive: true, Erased: true}
	}
	return s
}

func withToken(tokens map[TokenID]Token, id TokenID, token Token) map[TokenID]Token {
	tokens = maps.Clone(tokens)
	if tokens == nil {
		tokens = make(map[TokenID]Token)
	}
	tokens[id] = token
	return tokens
}

// Command is something one may ask of a user: Create, ChangeProfile, SetPassword,
// Deactivate, Activate, Erase, CreateToken, ChangeToken,
// RevokeToken, AddSSHKey, RemoveSSHKey, EndSessions, LinkIdentity, AuthorizeApplication,
// RevokeApplication or End.
type Command interface{ command() }

// Create makes a user. Slug is derived; an empty DisplayName means the name.
type Create struct {
	ID           domain.UserID
	Type         Type // "" means Normal
	SetUp        bool // by the first set-up
	Profile      Profile
	PasswordHash string // "" for a user without password
}

// ChangeProfile changes what is not nil.
type ChangeProfile struct {
	Name, DisplayName, Email *string
}

// SetPassword gives the user another password.
type SetPassword struct{ Hash string }

// Deactivate shuts the user out.
type Deactivate struct{}

// Activate lets the user in again.
type Activate struct{}

// Erase forgets the user, and the personal parts of the events at Positions (see Erased).
type Erase struct{ Positions [][2]int64 }

// CreateToken gives the user a token.
type CreateToken struct {
	ID          TokenID
	Name        string
	Hash        []byte
	Permissions []access.Permission
	Expires     *time.Time // nil: never
}

// ChangeToken changes what is not nil.
type ChangeToken struct {
	ID          TokenID
	Name        *string
	Permissions []access.Permission
}

// RevokeToken ends a token.
type RevokeToken struct{ ID TokenID }

func (Create) command()        {}
func (ChangeProfile) command() {}
func (SetPassword) command()   {}
func (Deactivate) command()    {}
func (Activate) command()      {}
func (Erase) command()         {}
func (CreateToken) command()   {}
func (ChangeToken) command()   {}
func (RevokeToken) command()   {}

// Decide judges a command. It returns no event when nothing would change. Errors
// are *domain.InvalidError, *domain.ConflictError and *domain.NotFoundError.
func Decide(s State, command Command) ([]domain.Event, error) {
	if c, ok := command.(Create); ok {
		return s.create(c)
	}
	if s.ID == 0 {
		return nil, domain.NotFound("user", "The user does not exist.")
	}
	if c, ok := command.(Erase); ok {
		return s.erase(c)
	}
	if s.Erased {
		return nil, domain.Conflict("", "The user has been erased.")
	}
	switch c := command.(type) {
	case ChangeProfile:
		return s.changeProfile(c)
	case SetPassword:
		return one(PasswordSet{ID: s.ID, Secret: Secret(c)}), nil
	case Deactivate:
		if !s.Inactive {
			return one(Deactivated{ID: s.ID}), nil
		}
	case Activate:
		if s.Inactive {
			return one(Activated{ID: s.ID}), nil
		}
	case CreateToken:
		return s.createToken(c)
	case ChangeToken:
		return s.changeToken(c)
	case AddSSHKey:
		return s.addSSHKey(c)
	case RemoveSSHKey:
		return s.removeSSHKey(c)
	case EndSessions:
		return one(SessionsEnded{ID: s.ID}), nil
	case LinkIdentity:
		return s.linkIdentity(c)
	case AuthorizeApplication:
		return s.authorize(c)
	case RevokeApplication:
		return s.revoke(c)
	case End:
		return s.end()
	case RevokeToken:
		if _, live := s.Tokens[c.ID]; !live {
			return nil, noToken()
		}
		return one(TokenRevoked{User: s.ID, ID: c.ID}), nil
	}
	return nil, nil
}

func one(event domain.Event) []domain.Event { return []domain.Event{event} }

func (s State) create(c Create) ([]domain.Event, error) {
	if s.ID != 0 {
		return nil, domain.Conflict("", "The user exists already.")
	}
	if c.Type == "" {
		c.Type = Normal
	}
	profile, err := c.profile()
	if err != nil {
		return nil, err
	}
	events := one(Created{ID: c.ID, Type: c.Type, SetUp: c.SetUp, Profile: profile})
	if c.PasswordHash != "" {
		events = append(events, PasswordSet{ID: c.ID, Secret: Secret{Hash: c.PasswordHash}})
	}
	return events, nil
}

// profile completes that of a person; of what nobody chose the name only the rest is checked.
func (c Create) profile() (Profile, error) {
	if c.Type.Holds() {
		return c.Profile, domain.CheckText("label", c.Profile.DisplayName, MaxDisplayName, false)
	}
	return c.Profile.complete()
}

func (s State) changeProfile(c ChangeProfile) ([]domain.Event, error) {
	profile := s.Profile
	set(&profile.Name, c.Name)
	set(&profile.DisplayName, c.DisplayName)
	set(&profile.Email, c.Email)
	profile, err := profile.complete()
	if err != nil {
		return nil, err
	}
	if profile == s.Profile {
		return nil, nil
	}
	return one(ProfileChanged{ID: s.ID, Profile: profile}), nil
}

func (s State) createToken(c CreateToken) ([]domain.Event, error) {
	if len(s.Tokens) >= MaxTokens {
		return nil, domain.Invalid("", "A user may have %d tokens. Revoke one that is no longer needed.", MaxTokens)
	}
	permissions, err := checkToken(c.Name, c.Permissions)
	if err == nil {
		err = s.checkTokenName(c.Name, c.ID)
	}
	if err != nil {
		return nil, err
	}
	return one(TokenCreated{
		User: s.ID, ID: c.ID, Permissions: permissions, Expires: c.Expires,
		Details: TokenDetails{Name: c.Name, Hash: c.Hash},
	}), nil
}

func (s State) changeToken(c ChangeToken) ([]domain.Event, error) {
	token, live := s.Tokens[c.ID]
	if !live {
		return nil, noToken()
	}
	changed := token
	set(&changed.Name, c.Name)
	if c.Permissions != nil {
		changed.Permissions = c.Permissions
	}
	var err error
	if changed.Permissions, err = checkToken(changed.Name, changed.Permissions); err != nil {
		return nil, err
	}
	if changed.Name == token.Name && slices.Equal(changed.Permissions, token.Permissions) {
		return nil, nil
	}
	if err := s.checkTokenName(changed.Name, c.ID); err != nil {
		return nil, err
	}
	events := one(TokenChanged{
		User: s.ID, ID: c.ID, Permissions: changed.Permissions, Details: TokenDetails{Name: changed.Name},
	})
	if s.Type == AccessToken && changed.Name != s.Profile.DisplayName { // he is called like his token
		profile := s.Profile
		profile.DisplayName = changed.Name
		events = append(events, ProfileChanged{ID: s.ID, Profile: profile})
	}
	return events, nil
}

// checkTokenName keeps the names of a user's tokens apart, whatever their case.
func (s State) checkTokenName(name string, id TokenID) error {
	for other, token := range s.Tokens {
		if other != id && strings.EqualFold(token.Name, name) {
			return TokenNameTaken()
		}
	}
	return nil
}

// TokenNameTaken is what a second token of a name for the same owner gets: a *domain.InvalidError.
func TokenNameTaken() error {
	return domain.Invalid("name", "There is a token with this name already. Choose another, or revoke that one first.")
}

// checkToken checks what a token is to be, and keeps of its permissions the
// strongest of each level, the project's first.
func checkToken(name string, permissions []access.Permission) ([]access.Permission, error) {
	if name == "" {
		return nil, domain.Invalid("name", "The token needs a name.")
	}
	if err := domain.CheckText("name", name, MaxDisplayName, false); err != nil {
		return nil, err
	}
	var kept []access.Permission
	for _, level := range [][]access.Permission{access.OnProject, access.OnRepository} {
		for _, p := range slices.Backward(level) {
			if slices.Contains(permissions, p) {
				kept = append(kept, p)
				break
			}
		}
	}
	for _, p := range permissions {
		if p.Level() != access.Project && p.Level() != access.Repository {
			return nil, domain.Invalid("permissions", "A token can be given project and repository permissions only.")
		}
	}
	if len(kept) == 0 {
		return nil, domain.Invalid("permissions", "The token needs a project or a repository permission.")
	}
	return kept, nil
}

// erase is asked again for each part of the log, and again if something has come since.
func (s State) erase(c Erase) ([]domain.Event, error) {
	if s.Erased && len(c.Positions) == 0 {
		return nil, nil
	}
	positions := c.Positions
	if positions == nil {
		positions = [][2]int64{}
	}
	return one(Erased{ID: s.ID, Positions: positions}), nil
}

func noToken() error { return domain.NotFound("token", "The token does not exist.") }

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
