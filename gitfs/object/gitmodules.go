package object

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/annal-git/annal/domain/git"
)

// Limits of special files, those of Git.
const (
	MaxGitmodules        = 32 << 20  // bytes
	MaxGitattributes     = 100 << 20 // bytes
	MaxGitattributesLine = 2048      // bytes
)

// CheckGitmodules checks the content of a file that SpecialFile calls Gitmodules.
// What git would refuse to use from it, or has run as a command in old versions,
// is refused: names that leave .git/modules, and URLs, paths and update commands
// that a program could take for options or run. A file that cannot be parsed
// passes up to there, as with git. Errors are *CheckError.
func CheckGitmodules(id git.ObjectID, data []byte) error {
	fail := func(kind, format string, args ...any) error {
		return &CheckError{ID: id, Type: TypeBlob, Kind: kind, Detail: fmt.Sprintf(format, args...)}
	}
	for setting := range submoduleSettings(data) {
		name, value := setting.submodule, setting.value
		if !isSubmoduleName(name) {
			return fail("gitmodulesName", "the submodule name %q is not allowed", clip(name))
		}
		switch setting.key {
		case "url":
			if !isSubmoduleURL(value) {
				return fail("gitmodulesUrl", "the submodule URL %q is not allowed", clip(value))
			}
		case "path":
			if strings.HasPrefix(value, "-") || strings.ContainsAny(value, "\r\n") {
				return fail("gitmodulesPath", "the submodule path %q is not allowed", clip(value))
			}
		case "update":
			if strings.HasPrefix(value, "!") {
				return fail("gitmodulesUpdate", "the submodule update command %q is not allowed", clip(value))
			}
		}
	}
	return nil
}

// isSubmoduleName refuses names with a ".." between separators of any system.
func isSubmoduleName(name string) bool {
	if name == "" || strings.ContainsAny(name, "\r\n") {
		return false
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return false
		}
	}
	return true
}

// isSubmoduleURL refuses URLs that begin like an option, and those that would make
// a credential helper see a second line or another host.
func isSubmoduleURL(value string) bool {
	if strings.HasPrefix(value, "-") {
		return false
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		decoded = value
	}
	if strings.ContainsAny(decoded, "\r\n") {
		return false
	}
	if rest, ok := cutDotDots(decoded); ok {
		// What is left is put behind a cut URL: it must not begin with a scheme's end.
		return !strings.HasPrefix(rest, ":") && !strings.HasPrefix(rest, "/")
	}
	if strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://") || strings.HasPrefix(value, "ftp://") {
		u, err := url.Parse(value)
		return err == nil && u.Host != ""
	}
	return true
}

// cutDotDots cuts "./" and "../" from a URL that is relative to that of the
// repository, and reports whether there was a "../".
func cutDotDots(s string) (rest string, ok bool) {
	for {
		switch {
		case strings.HasPrefix(s, "../"), strings.HasPrefix(s, `..\`):
			s, ok = s[3:], true
		case strings.HasPrefix(s, "./"), strings.HasPrefix(s, `.\`):
			s = s[2:]
		default:
			return s, ok
		}
	}
}

// CheckGitattributes checks the content of a file that SpecialFile calls
// Gitattributes, size bytes long: Git refuses to read such files when they are
// large or have long lines. Errors are *CheckError and those of r.
func CheckGitattributes(id git.ObjectID, size int64, r io.Reader) error {
	fail := func(kind, what string, limit int) error {
		return &CheckError{ID: id, Type: TypeBlob, Kind: kind, Detail: fmt.Sprintf(".gitattributes has %s of more than %d bytes", what, limit)}
	}
	if size > MaxGitattributes {
		return fail("gitattributesLarge", "a size", MaxGitattributes)
	}
	line := 0
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		for chunk := buffer[:n]; ; {
			end := bytes.IndexByte(chunk, '\n')
			if end < 0 {
				line += len(chunk)
				break
			}
			if line+end > MaxGitattributesLine {
				return fail("gitattributesLineLength", "a line", MaxGitattributesLine)
			}
			line, chunk = 0, chunk[end+1:]
		}
		if line > MaxGitattributesLine {
			return fail("gitattributesLineLength", "a line", MaxGitattributesLine)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
