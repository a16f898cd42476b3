package domain

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckText refuses text that cannot be stored or shown safely: over max
// characters, not UTF-8, with control characters or with characters that change
// the direction of the text around them. Line breaks and tabs pass only if
// lines is true. The error is an *InvalidError for field.
func CheckText(field, text string, maximum int, lines bool) error {
	if len(text) > 4*maximum || utf8.RuneCountInString(text) > maximum {
		return Invalid(field, "The %s is limited to %d characters.", field, maximum)
	}
	if !utf8.ValidString(text) {
		return Invalid(field, "The %s is not valid UTF-8.", field)
	}
	for _, r := range text {
		if lines && (r == '\n' || r == '\r' || r == '\t') {
			continue
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return Invalid(field, "The %s contains the character %s, which is not allowed.", field, fmt.Sprintf("%U", r))
		}
	}
	return nil
}

// deviceNames are files in every folder of some systems, with any ending.
var deviceNames = []string{
	"con", "prn", "aux", "nul",
	"com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
}

// reservedNames would be read as a route.
var reservedNames = []string{"api"}

// CheckPathName refuses names that become part of a URL or of a clone path and
// would be taken there for something else: dots that climb, device names of
// other systems, the endings of bare repositories and wikis. Which characters a
// name may have is the caller's rule. The error is an *InvalidError for field.
func CheckPathName(field, name string) error {
	lower := strings.ToLower(name)
	base, _, _ := strings.Cut(lower, ".")
	switch {
	case slices.Contains(deviceNames, base), slices.Contains(reservedNames, lower):
		return Invalid(field, "The name %q is reserved.", name)
	case strings.Contains(name, ".."):
		return Invalid(field, "The name %q contains two dots in a row.", name)
	case strings.HasPrefix(name, "."), strings.HasPrefix(name, "-"):
		return Invalid(field, "The name %q must start with a letter or a digit.", name)
	case strings.HasSuffix(name, "."):
		return Invalid(field, "The name %q ends with a dot.", name)
	}
	for _, ending := range []string{".git", ".wiki", ".lock"} {
		if strings.HasSuffix(lower, ending) {
			return Invalid(field, "The name %q ends with %q, which is reserved.", name, ending)
		}
	}
	return nil
}
