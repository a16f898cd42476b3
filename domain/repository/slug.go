package repository

import (
	"strings"

	"github.com/annal-git/annal/domain"
)

// Limits, in characters.
const (
	MaxName        = 128
	MaxDescription = 255
)

// Slug derives the part of a repository's URL from its name, as Bitbucket does:
// lower case, and a dash for each run of spaces. Errors are *domain.InvalidError
// for the field "name".
func Slug(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > MaxName || !alphanumeric(name[0]) {
		return "", invalidName()
	}
	for i := range len(name) {
		if c := name[i]; !alphanumeric(c) && strings.IndexByte(" -_.", c) < 0 {
			return "", invalidName()
		}
	}
	slug := strings.ToLower(strings.Join(strings.Fields(name), "-"))
	if err := domain.CheckPathName("name", slug); err != nil {
		return "", err
	}
	return slug, nil
}

func invalidName() error {
	return domain.Invalid("name", "Repository names are limited to %d characters. They must start with a letter or number and may contain spaces, hyphens, underscores and periods.", MaxName)
}

func alphanumeric(c byte) bool {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
}
