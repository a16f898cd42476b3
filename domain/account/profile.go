package account

import (
	"strings"

	"github.com/annal-git/annal/domain"
)

// Limits, in characters.
const (
	MaxName        = 128
	MaxDisplayName = 255
	MaxEmail       = 255
)

// Profile is who a user is. It is personal data.
type Profile struct {
	Name        string `json:"name"` // what he logs in with
	Slug        string `json:"slug"` // his name in URLs
	DisplayName string `json:"displayName"`
	Email       string `json:"email,omitempty"`
}

// Slug derives the part of a user's URL from his name, as Bitbucket does: lower
// case, and an underscore for what does not belong in a URL.
func Slug(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}, name)
}

// complete trims the fields, fills in slug and display name, and checks all.
func (p Profile) complete() (Profile, error) {
	p.Name, p.DisplayName, p.Email = strings.TrimSpace(p.Name), strings.TrimSpace(p.DisplayName), strings.TrimSpace(p.Email)
	if p.DisplayName == "" {
		p.DisplayName = p.Name
	}
	p.Slug = Slug(p.Name)
	if err := checkName(p.Name); err != nil {
		return Profile{}, err
	}
	if err := domain.CheckText("displayName", p.DisplayName, MaxDisplayName, false); err != nil {
		return Profile{}, err
	}
	return p, checkEmail(p.Email)
}

func checkName(name string) error {
	invalid := domain.Invalid("name", "A user name starts with a letter, a digit or an underscore and is made of letters, digits and the characters . _ @ + -. It is limited to %d characters.", MaxName)
	if name == "" || len(name) > MaxName {
		return invalid
	}
	for i := range len(name) {
		c := name[i]
		if !alphanumeric(c) && c != '_' && (i == 0 || strings.IndexByte(".@+-", c) < 0) {
			return invalid
		}
	}
	return domain.CheckPathName("name", name)
}

func checkEmail(email string) error {
	if email == "" {
		return nil
	}
	if err := domain.CheckText("email", email, MaxEmail, false); err != nil {
		return err
	}
	local, host, found := strings.Cut(email, "@")
	if !found || local == "" || host == "" || strings.ContainsAny(email, " <>\"=,;:\\") || strings.Contains(host, "@") {
		return domain.Invalid("email", "%q is not an e-mail address.", email)
	}
	return nil
}

func alphanumeric(c byte) bool {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
}
