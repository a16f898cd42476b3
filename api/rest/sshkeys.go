package rest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/publickey"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
)

func (a *API) sshKeyRoutes() []route {
	const keys = "/rest/ssh/1.0/keys"
	const one = keys + "/{keyId}"
	users := []string{"user", "userName"}
	return []route{
		{method: http.MethodGet, path: keys, summary: "List one's own SSH keys, or a user's", handle: a.handleListSSHKeys, query: users, paged: true, answer: restSSHKey{}},
		{
			method: http.MethodPost, path: keys, summary: "Add an SSH key of one's own, or of a user",
			handle: a.handleAddSSHKey, query: users[:1], body: sshKeyBody{}, answer: restSSHKey{}, status: http.StatusCreated,
		},
		{method: http.MethodDelete, path: keys, summary: "Delete all of one's own SSH keys, or of a user", handle: a.handleDeleteSSHKeys, query: users},
		{method: http.MethodGet, path: one, summary: "Get an SSH key", handle: a.handleGetSSHKey, answer: restSSHKey{}},
		{method: http.MethodDelete, path: one, summary: "Delete an SSH key", handle: a.handleDeleteSSHKey},
		{method: http.MethodGet, path: "/rest/ssh/1.0/settings", summary: "How Git is served over SSH", handle: a.handleSSHSettings, answer: restSSHSettings{}},
	}
}

type restSSHKey struct {
	ID                int64  `json:"id"`
	Text              string `json:"text"`
	Label             string `json:"label,omitempty"`
	AlgorithmType     string `json:"algorithmType"`
	BitLength         int    `json:"bitLength"`
	Fingerprint       string `json:"fingerprint"`                 // SHA-256 in base64
	CreatedDate       int64  `json:"createdDate"`                 // epoch milliseconds
	ExpiryDays        *int   `json:"expiryDays,omitempty"`        // from its creation; absent if it never ends
	LastAuthenticated string `json:"lastAuthenticated,omitempty"` // epoch milliseconds, to the minute
}

type sshKeyBody struct {
	Text       string  `json:"text"`
	Label      *string `json:"label"`
	ExpiryDays *int    `json:"expiryDays"`
}

type restSSHSettings struct {
	AccessKeysEnabled bool                `json:"accessKeysEnabled"`
	BaseURL           string              `json:"baseUrl,omitempty"`
	Enabled           bool                `json:"enabled"`
	Fingerprint       *restSSHFingerprint `json:"fingerprint,omitempty"`
	Port              int                 `json:"port,omitempty"`
}

type restSSHFingerprint struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

const day = 24 * time.Hour

func toRestSSHKey(k access.SSHKey) restSSHKey {
	answer := restSSHKey{
		ID: int64(k.ID), Text: publickey.Text(k.Key, k.Label), Label: k.Label, AlgorithmType: k.Algorithm, BitLength: k.Bits,
		Fingerprint: publickey.Fingerprint(k.Key), CreatedDate: k.Created.UnixMilli(),
	}
	if k.Expires != nil {
		days := int((k.Expires.Sub(k.Created) + day/2) / day)
		answer.ExpiryDays = &days
	}
	if k.Used != nil {
		answer.LastAuthenticated = strconv.FormatInt(k.Used.UnixMilli(), 10)
	}
	return answer
}

// command reads the key that is to be added. The label is by default the comment behind the key.
func (b sshKeyBody) command(now time.Time) (account.AddSSHKey, error) {
	key, err := publickey.Parse(b.Text)
	if err != nil {
		return account.AddSSHKey{}, err
	}
	expires, err := tokenBody{ExpiryDays: b.ExpiryDays}.expires(now)
	if err != nil {
		return account.AddSSHKey{}, domain.Invalid("expiryDays", "A key can be valid for 1 to %d days.", maxExpiryDays)
	}
	label := strings.TrimSpace(value(b.Label))
	if label == "" {
		label = key.Comment
	}
	return account.AddSSHKey{Algorithm: key.Algorithm, Bits: key.Bits, Label: label, Key: key.Wire, Expires: expires}, nil
}

// keyOwner finds whose keys are asked for: the caller's own, or those of a user whom he stands
// above. To change them takes a password: a token must not be able to make a key that can
// do more.
func (a *API) keyOwner(c *call, change bool) (access.User, error) {
	allowed := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser)
	if change {
		allowed = a.ownsAccount(c)
	}
	if allowed != nil {
		return access.User{}, allowed
	}
	name := c.QueryParam("user")
	if name == "" {
		name = c.QueryParam("userName")
	}
	if name == "" || strings.EqualFold(name, c.caller.User.Name) {
		return c.caller.User, nil
	}
	return a.subordinate(c, name, &permission.DeniedError{Need: rights.SysAdmin})
}

func (a *API) handleListSSHKeys(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	owner, err := a.keyOwner(c, false)
	if err != nil {
		return err
	}
	list, more, err := a.Users.SSHKeys(c.ctx(), owner.ID, access.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, toRestSSHKey), more))
}

func (a *API) handleAddSSHKey(c *call) error {
	owner, err := a.keyOwner(c, true)
	if err != nil {
		return err
	}
	var body sshKeyBody
	if err := c.decode(&body); err != nil {
		return err
	}
	command, err := body.command(a.Now())
	if err != nil {
		return err
	}
	number, err := a.Log.NextID(c.ctx(), "ssh_key")
	if err != nil {
		return err
	}
	command.ID = account.SSHKeyID(number)
	if err := execute(a, c, domain.UserStream(owner.ID), account.Evolve, account.Decide, account.Command(command)); err != nil {
		return err
	}
	key, err := a.Users.SSHKey(c.ctx(), command.ID)
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, toRestSSHKey(key))
}

// handleDeleteSSHKeys deletes what there is now, at most as many as a user may have.
func (a *API) handleDeleteSSHKeys(c *call) error {
	owner, err := a.keyOwner(c, true)
	if err != nil {
		return err
	}
	list, _, err := a.Users.SSHKeys(c.ctx(), owner.ID, access.Page{Limit: account.MaxSSHKeys})
	if err != nil {
		return err
	}
	for _, key := range list {
		if err := a.removeSSHKey(c, key); err != nil {
			return err
		}
	}
	return c.none()
}

// removeSSHKey ends a key; one that is gone is well.
func (a *API) removeSSHKey(c *call, key access.SSHKey) error {
	err := execute(a, c, domain.UserStream(key.User), account.Evolve, account.Decide, account.Command(account.RemoveSSHKey{ID: key.ID}))
	if absent(err) {
		return nil
	}
	return err
}

// sshKey finds the key that the path names: one's own, or that of somebody whom the caller
// stands above. Which numbers there are is nobody else's business.
func (a *API) sshKey(c *call) (access.SSHKey, error) {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return access.SSHKey{}, err
	}
	administrator := a.judge.Global(c.ctx(), c.caller, rights.Admin)
	id, err := keyID(c)
	if err != nil {
		return access.SSHKey{}, err
	}
	key, err := a.Users.SSHKey(c.ctx(), id)
	switch {
	case err == nil && key.User == c.caller.User.ID:
		return key, nil
	case administrator != nil:
		return access.SSHKey{}, administrator
	case err != nil:
		return access.SSHKey{}, err
	}
	owner, err := a.Users.User(c.ctx(), key.User)
	if err != nil {
		return access.SSHKey{}, err
	}
	_, err = a.subordinate(c, owner.Name, &permission.DeniedError{Need: rights.SysAdmin})
	return key, err
}

func keyID(c *call) (account.SSHKeyID, error) {
	id, err := strconv.ParseInt(c.Param("keyId"), 10, 64)
	if err != nil {
		return 0, domain.NotFound("sshKey", "The SSH key does not exist.")
	}
	return account.SSHKeyID(id), nil
}

func (a *API) handleGetSSHKey(c *call) error {
	key, err := a.sshKey(c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, toRestSSHKey(key))
}

func (a *API) handleDeleteSSHKey(c *call) error {
	if err := a.ownsAccount(c); err != nil {
		return err
	}
	key, err := a.sshKey(c)
	var missing *domain.NotFoundError
	if errors.As(err, &missing) {
		return c.none()
	}
	if err != nil {
		return err
	}
	if err := a.removeSSHKey(c, key); err != nil {
		return err
	}
	return c.none()
}

func (a *API) handleSSHSettings(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	answer := restSSHSettings{AccessKeysEnabled: true}
	if a.SSHURL != nil {
		answer.Enabled, answer.BaseURL = true, fmt.Sprintf("ssh://%s", a.SSHURL.Host)
		answer.Port, _ = strconv.Atoi(a.SSHURL.Port()) // none is 22, which is what 0 leaves out
		if a.SSHFingerprint != "" {
			answer.Fingerprint = &restSSHFingerprint{Algorithm: "SHA-256", Value: strings.TrimPrefix(a.SSHFingerprint, "SHA256:")}
		}
	}
	return c.json(http.StatusOK, answer)
}
