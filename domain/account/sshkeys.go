package account

import (
	"maps"
	"time"

	"github.com/annal-git/annal/domain"
)

// MaxSSHKeys is how many SSH keys a user may have.
const MaxSSHKeys = 100

// MaxSSHKeyBytes bounds a public key as it goes over the wire, without its label.
const MaxSSHKeyBytes = 8 << 10

// SSHKeyID is the number of an SSH key, a user's own or an access key. It is never reused.
type SSHKeyID int64

// SSHKeyDetails is the part of an SSH key that is personal data.
type SSHKeyDetails struct {
	Label string `json:"label,omitempty"`
	Key   []byte `json:"key"` // public key in the form of RFC 4253, section 6.6
}

// SSHKeyAdded lets whoever holds an SSH key in as the user.
type SSHKeyAdded struct {
	User      domain.UserID `json:"user"`
	ID        SSHKeyID      `json:"id"`
	Algorithm string        `json:"algorithm"` // such as RSA
	Bits      int           `json:"bits"`
	Expires   *time.Time    `json:"expires,omitempty"` // nil: never
	Details   SSHKeyDetails `json:"-"`
}

// EventType implements domain.Event.
func (SSHKeyAdded) EventType() string { return "user.ssh_key_added.v1" }

// Subject implements domain.Personal.
func (e *SSHKeyAdded) Subject() domain.UserID { return e.User }

// PersonalData implements domain.Personal.
func (e *SSHKeyAdded) PersonalData() any { return &e.Details }

// SSHKeyRemoved ends a key for ever. The same public key may be added again, under
// another number.
type SSHKeyRemoved struct {
	User domain.UserID `json:"user"`
	ID   SSHKeyID      `json:"id"`
}

// EventType implements domain.Event.
func (SSHKeyRemoved) EventType() string { return "user.ssh_key_removed.v1" }

var (
	_ = []domain.Event{SSHKeyRemoved{}}
	_ = []domain.Personal{&SSHKeyAdded{}}
)

// AddSSHKey gives the user an SSH key. Whether the key is sound is judged before.
type AddSSHKey struct {
	ID        SSHKeyID
	Algorithm string
	Bits      int
	Label     string
	Key       []byte
	Expires   *time.Time // nil: never
}

// RemoveSSHKey ends an SSH key.
type RemoveSSHKey struct{ ID SSHKeyID }

func (AddSSHKey) command()    {}
func (RemoveSSHKey) command() {}

func (s State) addSSHKey(c AddSSHKey) ([]domain.Event, error) {
	if len(s.SSHKeys) >= MaxSSHKeys {
		return nil, domain.Invalid("text", "A user may have %d SSH keys. Delete one that is no longer needed.", MaxSSHKeys)
	}
	if err := domain.CheckText("label", c.Label, MaxDisplayName, false); err != nil {
		return nil, err
	}
	if len(c.Key) == 0 || len(c.Key) > MaxSSHKeyBytes {
		return nil, domain.Invalid("text", "An SSH key has at most %d bytes.", MaxSSHKeyBytes)
	}
	return one(SSHKeyAdded{
		User: s.ID, ID: c.ID, Algorithm: c.Algorithm, Bits: c.Bits, Expires: c.Expires,
		Details: SSHKeyDetails{Label: c.Label, Key: c.Key},
	}), nil
}

func (s State) removeSSHKey(c RemoveSSHKey) ([]domain.Event, error) {
	if _, live := s.SSHKeys[c.ID]; !live {
		return nil, domain.NotFound("sshKey", "The SSH key does not exist.")
	}
	return one(SSHKeyRemoved{User: s.ID, ID: c.ID}), nil
}

func withSSHKey(keys map[SSHKeyID]struct{}, id SSHKeyID) map[SSHKeyID]struct{} {
	keys = maps.Clone(keys)
	if keys == nil {
		keys = make(map[SSHKeyID]struct{})
	}
	keys[id] = struct{}{}
	return keys
}
