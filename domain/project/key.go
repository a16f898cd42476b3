package project

import (
	"strings"

	"github.com/annal-git/annal/domain"
)

// Limits, in characters.
const (
	MaxKey         = 128
	MaxName        = 128
	MaxDescription = 255
)

// NormalizeKey brings a key to the form it is stored and compared in: upper case.
// Keys are ASCII, so no other letter has an upper case to reach them from.
func NormalizeKey(key string) string { return strings.ToUpper(key) }

// CheckKey applies Bitbucket's rule for project keys: a letter, then letters,
// digits, dashes and underscores, at most MaxKey. Errors are *domain.InvalidError.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey || !letter(key[0]) {
		return invalidKey()
	}
	for i := range len(key) {
		if c := key[i]; !letter(c) && (c < '0' || c > '9') && c != '_' && c != '-' {
			return invalidKey()
		}
	}
	return domain.CheckPathName("key", key)
}

func invalidKey() error {
	return domain.Invalid("key", "A project key starts with a letter and is made of letters, digits, dashes and underscores. It is limited to %d characters.", MaxKey)
}

func letter(c byte) bool { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') }

func (s Settings) check() error {
	if err := CheckKey(s.Key); err != nil {
		return err
	}
	if s.Name == "" {
		return domain.Invalid("name", "The project needs a name.")
	}
	if strings.HasPrefix(s.Name, "~") {
		return domain.Invalid("name", "The name of a project cannot start with a tilde.")
	}
	if err := domain.CheckText("name", s.Name, MaxName, false); err != nil {
		return err
	}
	return domain.CheckText("description", s.Description, MaxDescription, true)
}

func (s Settings) normalize() Settings {
	s.Key = NormalizeKey(s.Key)
	s.Name = strings.TrimSpace(s.Name)
	return s
}
