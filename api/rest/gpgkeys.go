package rest

import (
	"net/http"
	"strings"
	"time"

	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/gpgkey"
	"github.com/annal-git/annal/gitfs/signature"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/gpgkeys"
)

func (a *API) gpgKeyRoutes() []route {
	const path = "/rest/gpg/1.0/keys"
	return []route{
		{method: http.MethodGet, path: path, summary: "List the GPG keys of a user, or one's own", handle: a.handleListGPGKeys, query: []string{"user"}, paged: true, answer: restGPGKey{}},
		{method: http.MethodPost, path: path, summary: "Add a GPG key", handle: a.handleAddGPGKey, query: []string{"user"}, body: gpgKeyBody{}, answer: restGPGKey{}},
		{method: http.MethodDelete, path: path, summary: "Delete all GPG keys of a user, or one's own", handle: a.handleRemoveGPGKeys, query: []string{"user"}},
		{method: http.MethodDelete, path: path + "/{fingerprintOrId}", summary: "Delete a GPG key", handle: a.handleRemoveGPGKey},
	}
}

type restGPGKey struct {
	ID           string          `json:"id"`
	Fingerprint  string          `json:"fingerprint"`
	EmailAddress string          `json:"emailAddress,omitempty"`
	ExpiryDate   *int64          `json:"expiryDate,omitempty"`
	SubKeys      []restGPGSubkey `json:"subKeys"`
}

type restGPGSubkey struct {
	Fingerprint string     `json:"fingerprint"`
	ExpiryDate  *time.Time `json:"expiryDate,omitempty"`
}

type gpgKeyBody struct {
	Text string `json:"text"`
}

func newRestGPGKey(d gpgkey.Details) restGPGKey {
	answer := restGPGKey{ID: d.KeyID, Fingerprint: colons(d.Fingerprint), EmailAddress: d.Email, SubKeys: []restGPGSubkey{}}
	if d.Expires != nil {
		milliseconds := d.Expires.UnixMilli()
		answer.ExpiryDate = &milliseconds
	}
	for _, s := range d.Subkeys {
		answer.SubKeys = append(answer.SubKeys, restGPGSubkey{colons(s.Fingerprint), s.Expires})
	}
	return answer
}

// colons puts colons between the bytes of a fingerprint, as Bitbucket shows it.
func colons(fingerprint string) string {
	var b strings.Builder
	for i := range len(fingerprint) {
		if i > 0 && i%2 == 0 {
			b.WriteByte(':')
		}
		b.WriteByte(fingerprint[i])
	}
	return b.String()
}

// gpgOwner is whose keys a request is about: the caller's, or for an administrator those
// of the user in the query. Keys last longer than a token, so that none changes them.
func (a *API) gpgOwner(c *call, change bool) (access.User, error) {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return access.User{}, err
	}
	name := c.QueryParam("user")
	if name == "" || strings.EqualFold(name, c.caller.User.Name) {
		if change && c.caller.Scopes != nil {
			return access.User{}, &permission.DeniedError{Need: rights.LicensedUser}
		}
		return c.caller.User, nil
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return access.User{}, err
	}
	return a.Users.UserByName(c.ctx(), name)
}

func (a *API) handleListGPGKeys(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	owner, err := a.gpgOwner(c, false)
	if err != nil {
		return err
	}
	keys, err := a.GPGKeys.OfUser(c.ctx(), owner.ID)
	if err != nil {
		return err
	}
	keys, more := cut(w, keys)
	return c.json(http.StatusOK, pageOf(w, convert(keys, func(k gpgkeys.Key) restGPGKey { return newRestGPGKey(k.Details) }), more))
}

func (a *API) handleAddGPGKey(c *call) error {
	owner, err := a.gpgOwner(c, true)
	if err != nil {
		return err
	}
	var body gpgKeyBody
	if err := c.decode(&body); err != nil {
		return err
	}
	details, err := signature.Describe(body.Text, a.Now())
	if err != nil {
		return err
	}
	id, err := a.Log.NextID(c.ctx(), "gpg_key")
	if err != nil {
		return err
	}
	command := gpgkey.Command(gpgkey.Add{User: owner.ID, ID: gpgkey.ID(id), Details: details})
	if err := execute(a, c, domain.UserStream(owner.ID), gpgkey.Evolve, gpgkey.Decide, command); err != nil {
		return err
	}
	return c.json(http.StatusOK, newRestGPGKey(details))
}

// removeGPGKeys removes those of a user's keys that which says.
func (a *API) removeGPGKeys(c *call, owner access.User, which func(k gpgkeys.Key) bool) error {
	keys, err := a.GPGKeys.OfUser(c.ctx(), owner.ID)
	if err != nil {
		return err
	}
	remove := gpgkey.Remove{User: owner.ID}
	for _, k := range keys {
		if which(k) {
			remove.IDs = append(remove.IDs, k.ID)
		}
	}
	if err := execute(a, c, domain.UserStream(owner.ID), gpgkey.Evolve, gpgkey.Decide, gpgkey.Command(remove)); err != nil {
		return err
	}
	return c.none()
}

func (a *API) handleRemoveGPGKeys(c *call) error {
	owner, err := a.gpgOwner(c, true)
	if err != nil {
		return err
	}
	return a.removeGPGKeys(c, owner, func(gpgkeys.Key) bool { return true })
}

func (a *API) handleRemoveGPGKey(c *call) error {
	owner, err := a.gpgOwner(c, true)
	if err != nil {
		return err
	}
	name := strings.ToLower(strings.ReplaceAll(c.Param("fingerprintOrId"), ":", ""))
	return a.removeGPGKeys(c, owner, func(k gpgkeys.Key) bool { return k.Fingerprint == name || k.KeyID == name })
}
