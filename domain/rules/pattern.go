package rules

import (
	"strings"
	"unicode/utf8"

	"github.com/annal-git/annal/domain"
)

// MaxPattern is how long a pattern of refs may be, in bytes.
const MaxPattern = 255

// CheckPattern refuses what cannot be a pattern of refs. The error is a
// *domain.InvalidError.
func CheckPattern(pattern string) error {
	switch {
	case pattern == "":
		return domain.Invalid("matcher", "The pattern is required.")
	case len(pattern) > MaxPattern:
		return domain.Invalid("matcher", "The pattern is limited to %d bytes.", MaxPattern)
	}
	return domain.CheckText("matcher", pattern, MaxPattern, false)
}

// MatchPattern reports whether a full name of a ref matches a pattern as Bitbucket's
// branch permissions have them, which are those of Ant: ? is one character and * any
// number of them within a segment of the name, and ** any number of segments. A pattern
// that ends with a slash goes on with **. It is enough that it matches an end of the name
// that begins with a segment: "release/*" matches refs/heads/release/1 and
// refs/heads/old/release/1.
func MatchPattern(pattern, ref string) bool {
	if strings.HasSuffix(pattern, "/") {
		pattern += "**"
	}
	pattern = "**/" + strings.TrimPrefix(pattern, "/")
	return match(strings.Split(pattern, "/"), strings.Split(ref, "/"),
		func(segment string) bool { return segment == "**" }, matchSegment)
}

// matchSegment reports whether a segment of a name matches one of a pattern.
func matchSegment(pattern, segment string) bool {
	return match(characters(pattern), characters(segment),
		func(c string) bool { return c == "*" },
		func(c, in string) bool { return c == "?" || c == in })
}

func characters(s string) []string {
	list := make([]string, 0, len(s))
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		list, s = append(list, s[:n]), s[n:]
	}
	return list
}

// match reports whether a list of items is what a pattern says, some parts of which stand
// for any number of items and the others for one. Only the last of the former that was met
// need be tried with more items, so that it takes at most the product of the lengths.
func match(pattern, items []string, many func(part string) bool, one func(part, item string) bool) bool {
	p, i := 0, 0
	star, from := -1, 0
	for i < len(items) {
		switch {
		case p < len(pattern) && many(pattern[p]):
			star, from = p, i
			p++
		case p < len(pattern) && one(pattern[p], items[i]):
			p, i = p+1, i+1
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && many(pattern[p]) {
		p++
	}
	return p == len(pattern)
}
