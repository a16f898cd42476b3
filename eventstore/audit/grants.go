package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
)

// judgeApplication is judgeToken for who let an application act for him.
func (r *rights) judgeApplication(p *parsed, number string) (scopes []access.Permission, err error) {
	id, err := strconv.ParseInt(number, 10, 64)
	g := r.grants[account.GrantID(id)]
	switch {
	case err != nil || g == nil || g.user != p.who.Actor:
		return nil, fmt.Errorf("an application acted for user %d by the authorization %.20s, which was not his", p.who.Actor, number)
	case g.revokedAt != 0 && p.moment-g.revokedAt > grace.Microseconds():
		return nil, fmt.Errorf("an application acted for user %d by the authorization %d, which had been revoked", p.who.Actor, id)
	}
	return g.scopes, nil
}

// byApplication reports whether nobody but an application caused an event.
func byApplication(p *parsed) bool { return strings.HasPrefix(string(p.who.Auth), "oauth:") }

// byProvider reports whether a provider of OpenID Connect has named somebody new.
func byProvider(p *parsed) bool { return string(p.who.Auth) == "oidc" }

// applyApplication lets an event about an application take effect, if it is one.
func (r *rights) applyApplication(p *parsed) bool {
	switch e := p.event.(type) {
	case account.ApplicationAuthorized:
		r.grants[e.Grant] = &token{user: e.User, scopes: oauth.Permissions(e.Scopes), client: e.Client}
	case account.ApplicationRevoked:
		if g := r.grants[e.Grant]; g != nil {
			g.revokedAt = p.moment
		}
	case oauth.ClientDeleted:
		for _, g := range r.grants {
			if g.client == e.ID && g.revokedAt == 0 {
				g.revokedAt = p.moment
			}
		}
	default:
		return false
	}
	return true
}

// ownAct is whose account an event is about that only he causes, or who stands above him.
func ownAct(p *parsed) (domain.UserID, bool) {
	switch e := p.event.(type) {
	case account.ProfileChanged:
		return e.ID, true
	case account.PasswordSet:
		return e.ID, true
	case account.SessionsEnded:
		return e.ID, true
	case account.IdentityLinked:
		return e.User, true
	case account.ApplicationAuthorized:
		return e.User, true
	case account.ApplicationRevoked:
		return e.User, true
	case account.TokenCreated:
		return e.User, true
	case account.TokenChanged:
		return e.User, true
	case account.TokenRevoked:
		return e.User, true
	}
	return 0, false
}
