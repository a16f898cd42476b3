package attributes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/gitfs/attributes"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

// What git check-attr says of random paths under random files, we say.
func TestAgainstGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gitfstest.Git(t, "", "init", "--quiet", dir)
	names := []string{"a", "b.c", "x", "deep", "[x]", "a b"}
	rapid.Check(t, func(rt *rapid.T) {
		pattern := rapid.SampledFrom([]string{
			"*", "*.c", "a", "/a", "a/", "a/*", "a/**", "**/a", "a/**/x", "deep/", "/deep/*", "?", "[ab]", "[!a]*", "[[:alpha:]]", "[[:]", "[[:]*", "[[:x]", "[[::]", "[[:alpha]:]", "[[-b]", "[[:alpha:", "\\[x\\]", "\"a b\"", "*/x", "**", "b.*", "[a-b]*", "a*/x", "!a", "#a",
		})
		setting := rapid.SampledFrom([]string{"foo", "-foo", "!foo", "foo=bar", "bar", "mac", "-mac", "binary", "diff", "text=auto", "b@d"})
		file := func(label string) string {
			var b strings.Builder
			for range rapid.IntRange(0, 5).Draw(rt, label) {
				if rapid.IntRange(0, 6).Draw(rt, "macro") == 0 {
					b.WriteString("[attr]mac foo -bar\n")
					continue
				}
				b.WriteString(pattern.Draw(rt, "pattern") + " " + setting.Draw(rt, "setting") + "  " + setting.Draw(rt, "setting") + "\n")
			}
			return b.String()
		}
		top, inner := file("top"), file("inner")
		write := func(path, content string) {
			path = filepath.Join(dir, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				rt.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
				rt.Fatal(err)
			}
		}
		write(attributes.Name, top)
		write("a/"+attributes.Name, inner)
		path := strings.Join(rapid.SliceOfN(rapid.SampledFrom(names), 1, 4).Draw(rt, "path"), "/")
		folder := rapid.Bool().Draw(rt, "folder")
		asked := []string{"foo", "bar", "mac", "binary", "diff", "text"}

		stack := attributes.NewStack(attributes.Parse([]byte(top), true))
		steps := strings.Split(path, "/")
		for i, step := range steps[:len(steps)-1] {
			var f *attributes.File
			if i == 0 && step == "a" {
				f = attributes.Parse([]byte(inner), false)
			}
			stack = stack.Enter(step, f)
		}
		have := stack.Of(steps[len(steps)-1], folder, asked...)
		input := path
		if folder {
			input += "/"
		}
		out := gitfstest.GitInput(t, dir, []byte(input+"\x00"), append([]string{"check-attr", "-z", "--stdin"}, asked...)...)
		fields := strings.Split(out, "\x00")
		for i, name := range asked {
			want := fields[3*i+2]
			got := map[attributes.Value]string{"": "unspecified", attributes.True: "set", attributes.False: "unset"}[have[i]]
			if got == "" {
				got = string(have[i])
			}
			if got != want {
				rt.Fatalf("%s of %q is %s, git says %s\n%s---\n%s", name, input, got, want, top, inner)
			}
		}
	})
}

// Stars beyond reason end all the same.
func TestMatchIsBounded(t *testing.T) {
	t.Parallel()
	if attributes.Match(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 5000), false) {
		t.Error("matched")
	}
	if attributes.Match(strings.Repeat("**/", 300)+"b", strings.Repeat("a/", 2000), true) {
		t.Error("matched")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"*.c text\n", "[attr]m a -b\nx m\n", "\"a\\\"b\" -x", "a/**/b !x y=z\r\n", "[", "[[:alpha:]", "[[:]", "\\", "[attr]", "\xef\xbb\xbf* x"} {
		f.Add([]byte(seed), "a/b")
	}
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		attributes.NewStack(attributes.Parse(data, true)).Of(path, false, "text")
	})
}
