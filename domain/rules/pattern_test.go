package rules_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/rules"
)

// The examples of Bitbucket's documentation come first.
func TestMatchPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern  string
		yes, not []string
	}{
		{"*", []string{"refs/heads/main", "refs/tags/1.0", "refs/heads/a/b"}, nil},
		{"PROJECT-*", []string{"refs/heads/PROJECT-1234", "refs/heads/stable/PROJECT-new", "refs/tags/PROJECT-1.1"}, []string{"refs/heads/XPROJECT-1", "refs/heads/PROJECT-1/x", "refs/heads/project-1"}},
		{"?.?", []string{"refs/heads/1.1", "refs/heads/stable/2.X", "refs/tags/3.1"}, []string{"refs/heads/1.10", "refs/heads/1/1"}},
		{"tags/", []string{"refs/tags/1.0", "refs/tags/a/b", "refs/heads/tags/x"}, []string{"refs/heads/x"}},
		{"tags/**", []string{"refs/tags/1.0", "refs/tags/a/b", "refs/heads/tags/x"}, []string{"refs/heads/x"}},
		{"heads/**/master", []string{"refs/heads/master", "refs/heads/stable/master", "refs/heads/a/b/master"}, []string{"refs/tags/master", "refs/heads/master/x"}},
		{"refs/heads/main", []string{"refs/heads/main"}, []string{"refs/heads/main2", "refs/heads/x/main"}},
		{"release/*", []string{"refs/heads/release/1", "refs/heads/old/release/1"}, []string{"refs/heads/release/1/2", "refs/heads/release", "refs/heads/prerelease/1"}},
		{"release/**", []string{"refs/heads/release/1", "refs/heads/release/1/2"}, []string{"refs/heads/prerelease/1"}},
		{"feature/*-ok", []string{"refs/heads/feature/a-b-ok"}, []string{"refs/heads/feature/a-ok-b"}},
		{"a**b", []string{"refs/heads/ab", "refs/heads/axxb"}, []string{"refs/heads/a/b"}}, // not a segment of its own
		{"ü?", []string{"refs/heads/üé"}, []string{"refs/heads/ü"}},
	} {
		for _, ref := range c.yes {
			if !rules.MatchPattern(c.pattern, ref) {
				t.Errorf("%q does not match %q", c.pattern, ref)
			}
		}
		for _, ref := range c.not {
			if rules.MatchPattern(c.pattern, ref) {
				t.Errorf("%q matches %q", c.pattern, ref)
			}
		}
	}
}

// naive says the same in the plainest way: it tries everything.
func naive(pattern, ref string) bool {
	if strings.HasSuffix(pattern, "/") {
		pattern += "**"
	}
	segments := strings.Split(ref, "/")
	for from := range segments {
		if naiveSegments(strings.Split(pattern, "/"), segments[from:]) {
			return true
		}
	}
	return naiveSegments(strings.Split(pattern, "/"), nil)
}

func naiveSegments(pattern, segments []string) bool {
	switch {
	case len(pattern) == 0:
		return len(segments) == 0
	case pattern[0] == "**":
		return naiveSegments(pattern[1:], segments) || len(segments) > 0 && naiveSegments(pattern, segments[1:])
	}
	return len(segments) > 0 && naiveText(pattern[0], segments[0]) && naiveSegments(pattern[1:], segments[1:])
}

func naiveText(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return naiveText(pattern[1:], text) || text != "" && naiveText(pattern, text[1:])
	}
	return text != "" && (pattern[0] == '?' || pattern[0] == text[0]) && naiveText(pattern[1:], text[1:])
}

func TestMatchPatternAgainstTryingEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`([ab?*]|\*\*|/){1,10}`).Draw(t, "pattern")
		ref := rapid.StringMatching(`[ab]{1,3}(/[ab]{1,3}){0,4}`).Draw(t, "ref")
		if strings.HasPrefix(pattern, "/") {
			t.Skip("an absolute pattern means the same without its slash")
		}
		if got, want := rules.MatchPattern(pattern, ref), naive(pattern, ref); got != want {
			t.Fatalf("%q matches %q: %t, want %t", pattern, ref, got, want)
		}
	})
}

func FuzzMatchPattern(f *testing.F) {
	f.Add("**/*a?**", "refs/heads/x")
	f.Add(strings.Repeat("*a", 100), strings.Repeat("a", 1000))
	f.Add(strings.Repeat("**/a/", 50), "refs/"+strings.Repeat("a/", 400)+"b")
	f.Fuzz(func(t *testing.T, pattern, ref string) {
		if rules.CheckPattern(pattern) != nil || len(ref) > 1024 {
			return
		}
		rules.MatchPattern(pattern, ref)
		if !strings.ContainsAny(pattern, "*?") && !strings.HasSuffix(pattern, "/") && !strings.HasPrefix(pattern, "/") &&
			rules.MatchPattern(pattern, ref) != (ref == pattern || strings.HasSuffix(ref, "/"+pattern)) {
			t.Errorf("%q and %q", pattern, ref)
		}
	})
}
