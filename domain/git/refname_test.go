package git_test

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
)

func TestCheckRefName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"refs/heads/main", "refs/heads/feature/x", "refs/tags/v1.0", "refs/heads/é", "refs/heads/e\u0301", "refs/heads/A", "refs/notes/commits",
		"refs/heads/@", "refs/heads/a@b", "refs/heads/" + strings.Repeat("x", git.MaxRefNameComponent), "refs/heads/ａ",
	} {
		if err := git.CheckRefName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "main", "HEAD", "refs/heads", "refs/heads/", "heads/main", "refs//main", "refs/heads//x", "/refs/heads/x", "refs/heads/x/",
		"refs/heads/.x", "refs/heads/x.", "refs/heads/a..b", "refs/heads/a.lock", "refs/heads/a.lock/b", "refs/heads/a b", "refs/heads/a~1",
		"refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*", "refs/heads/a[", `refs/heads/a\b`, "refs/heads/a@{1}", "refs/heads/a\x7f",
		"refs/heads/a\nb", "refs/heads/a\x00b", "refs/heads/-x", "refs/heads/--exec=touch x", "refs/-x/y", "refs/heads/../../x", "refs/heads/\xff",
		"refs/heads/" + strings.Repeat("x", git.MaxRefNameComponent+1), "refs/heads/" + strings.Repeat("x/", 600) + "x",
	} {
		err := git.CheckRefName(name)
		var refused *git.RefNameError
		if !errors.As(err, &refused) {
			t.Errorf("%q is accepted (%v)", name, err)
		}
	}
}

// What we accept, git accepts; what we refuse beyond git starts with a dash, is too
// long or is not UTF-8, which rapid does not make.
func TestCheckRefNameAgainstGit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := "refs/" + rapid.StringOfN(rapid.SampledFrom([]rune("ab./@{}~^:*-\\[ \tlock\u00e9")), 1, 14, -1).Draw(t, "name")
		compareWithGit(t, name)
	})
}

func compareWithGit(t interface {
	Errorf(format string, args ...any)
}, name string) {
	ours := git.CheckRefName(name) == nil
	theirs := exec.Command("git", "check-ref-format", name).Run() == nil
	stricter := strings.Contains(name, "/-") || len(name) > git.MaxRefNameComponent || strings.Count(name, "/") < 2
	if ours != theirs && (ours || !stricter) {
		t.Errorf("%q: we say %t, git says %t", name, ours, theirs)
	}
}

func FuzzCheckRefName(f *testing.F) {
	for _, name := range []string{"refs/heads/main", "refs/heads/a.lock", "refs/heads/@{", "refs//x", "refs/heads/\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if git.CheckRefName(name) != nil {
			return
		}
		if len(name) > git.MaxRefName || !strings.HasPrefix(name, "refs/") || strings.ContainsAny(name, "\x00\n ~^:?*[\\") ||
			strings.Contains(name, "..") || strings.Contains(name, "/-") || strings.Contains(name, "//") {
			t.Errorf("%q is accepted", name)
		}
	})
}

func TestObjectID(t *testing.T) {
	t.Parallel()
	const text = "0123456789abcdef0123456789abcdef01234567"
	id, err := git.ParseObjectID(text)
	if err != nil || id.String() != text || id.Abbrev() != text[:11] || id.IsZero() {
		t.Errorf("%v, %v", id, err)
	}
	for _, bad := range []string{"", text[:39], text + "0", strings.ToUpper(text), "g" + text[1:], strings.Repeat("0", 64)} {
		if _, err := git.ParseObjectID(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if !git.ZeroID.IsZero() || git.ZeroID.String() != strings.Repeat("0", 40) {
		t.Errorf("zero id %s", git.ZeroID)
	}
}

func TestShortName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"refs/heads/a/b": "a/b", "refs/tags/v1": "v1", "refs/notes/x": "refs/notes/x",
	} {
		if got := git.ShortName(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"refs/heads/a/b": {"refs/heads", "refs/heads/a"}, "refs/heads": nil, "": nil,
	} {
		if got := slices.Collect(git.Folders(name)); !slices.Equal(got, want) {
			t.Errorf("%q lies in %q, want %q", name, got, want)
		}
	}
}
