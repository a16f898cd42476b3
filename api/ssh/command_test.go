package ssh_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/annal-git/annal/api/ssh"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"git-upload-pack '/prj/repo.git'":              {"git-upload-pack", "/prj/repo.git"},
		"git upload-pack '/prj/repo.git'":              {"git-upload-pack", "/prj/repo.git"},
		"git-receive-pack 'prj/repo'":                  {"git-receive-pack", "prj/repo"},
		"git-upload-archive \"/~ada/repo.git\"":        {"git-upload-archive", "/~ada/repo.git"},
		"git-upload-pack /prj/repo@4711.git":           {"git-upload-pack", "/prj/repo@4711.git"},
		"git-lfs-authenticate 'prj/repo.git' download": {"git-lfs-authenticate", "prj/repo.git", "download"},
		`git-upload-pack 'it'\''s'`:                    {"git-upload-pack", "it's"},
		`git-upload-pack 'a'\!'b'`:                     {"git-upload-pack", "a!b"},
		`git-upload-pack 'r; id'`:                      {"git-upload-pack", "r; id"}, // one word, and no name of a repository
	} {
		name, arguments, err := ssh.ParseCommand(line)
		if err != nil || !slices.Equal(append([]string{name}, arguments...), want) {
			t.Errorf("%q is %q %q, %v", line, name, arguments, err)
		}
	}
	for _, line := range []string{
		"", " ", "git-upload-pack 'r' ; id", "git-upload-pack 'r'; id", "git-upload-pack r|id", "git-upload-pack $(id)", "git-upload-pack `id`",
		`git-upload-pack "$HOME"`, "git-upload-pack 'r' > x", "git-upload-pack 'r' && id", "git-lfs-authenticate r download; id",
		"git-upload-pack 'r", `git-upload-pack r\`, "git-upload-pack 'r\nid'", "git-upload-pack 'r\x00'", "git-upload-pack --strict 'r'",
		"git-upload-pack '--x'", "git --exec-path=/tmp upload-pack r", "git-upload-pack ''", "git-upload-pack " + strings.Repeat("x", 5000),
	} {
		if name, arguments, err := ssh.ParseCommand(line); err == nil {
			t.Errorf("%q is %q %q", line, name, arguments)
		}
	}
}

// Whatever comes, words are short, not empty, no options and without control characters; and
// git's own quoting reads back.
func FuzzParseCommand(f *testing.F) {
	for _, seed := range []string{"git-upload-pack '/prj/repo.git'", `git upload-pack 'it'\''s'`, `a "b\" c" \x`, "a;b", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		name, arguments, err := ssh.ParseCommand(line)
		if err == nil {
			for _, word := range append([]string{name}, arguments...) {
				if word == "" || word[0] == '-' || len(word) > 4096 || strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("%q gives %q", line, word)
				}
			}
		}
		quoted := "x '" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(line) + "'"
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) || line == "" || line[0] == '-' || len(quoted) > 4096 {
			return
		}
		if _, arguments, err := ssh.ParseCommand(quoted); err != nil || !slices.Equal(arguments, []string{line}) {
			t.Errorf("%q read back is %q, %v", line, arguments, err)
		}
	})
}

func TestParsePath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/PRJ/repo.git": "PRJ repo ", "prj/repo": "prj repo ", "/~ada/repo.git": "~ada repo ", "/prj/repo@4711.git": "prj repo 4711",
		"/prj/repo@2026-01-31T12:00:00Z.git": "prj repo 2026-01-31T12:00:00Z",
		"/prj":                               "", "//prj/repo": "", "/prj/repo/": "", "/prj/../repo": "", "/prj/..": "", "/prj/a b": "", "/prj/r%2e": "", `/prj/r\x`: "", "/prj/r;id": "", "": "",
	} {
		name, ok := ssh.ParsePath(path)
		if got := name.Project + " " + name.Repo + " " + name.Moment; ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q, %t", path, got, ok)
		}
	}
}
