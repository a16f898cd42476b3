package oauth

import "github.com/annal-git/annal/domain"

// Client is what an application is known by.
type Client struct {
	Name         string   `json:"name"`
	RedirectURIs []string `json:"redirectUris"` // where users are sent back to; compared to the letter
	Scopes       []string `json:"scopes"`       // all that it may ask for
}

// ClientCreated makes an application known.
type ClientCreated struct {
	ID         domain.OAuthClientID `json:"id"`
	ClientID   string               `json:"clientId"` // by which it calls itself
	SecretHash []byte               `json:"secretHash"`
	Client     Client               `json:"client"`
}

// EventType implements domain.Event.
func (ClientCreated) EventType() string { return "oauth.client_created.v1" }

// ClientChanged replaces what an application is known by.
type ClientChanged struct {
	ID     domain.OAuthClientID `json:"id"`
	Client Client               `json:"client"`
}

// EventType implements domain.Event.
func (ClientChanged) EventType() string { return "oauth.client_changed.v1" }

// ClientSecretChanged gives an application another secret.
type ClientSecretChanged struct {
	ID         domain.OAuthClientID `json:"id"`
	SecretHash []byte               `json:"secretHash"`
}

// EventType implements domain.Event.
func (ClientSecretChanged) EventType() string { return "oauth.client_secret_changed.v1" }

// ClientDeleted shuts an application out for ever, whoever has let it in.
type ClientDeleted struct {
	ID domain.OAuthClientID `json:"id"`
}

// EventType implements domain.Event.
func (ClientDeleted) EventType() string { return "oauth.client_deleted.v1" }
