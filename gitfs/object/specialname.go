package object

import (
	"bytes"
	"unicode/utf8"
)

// Special is a set of the files that Git itself reads, so that their content is
// checked.
type Special uint8

// The special files.
const (
	Gitmodules Special = 1 << iota
	Gitattributes

	Ordinary Special = 0
)

// SpecialFile tells which special file a name in a tree means on any file system:
// HFS+ ignores case and some code points, NTFS ignores case and trailing dots and
// spaces and knows short names, and Windows takes a backslash for a separator.
func SpecialFile(name []byte) Special {
	for part := range ntfsComponents(name) {
		switch {
		case part.is("gitmodules", "gi7eba"):
			return Gitmodules
		case part.is("gitattributes", "gi7d29"):
			return Gitattributes
		}
	}
	return Ordinary
}

// isDotGit reports whether some file system would take the name for ".git".
func isDotGit(name []byte) bool {
	for part := range ntfsComponents(name) {
		if part.isDotGit() {
			return true
		}
	}
	return false
}

// component is a part of a name, as Windows would see it.
type component struct {
	name  []byte
	whole bool // the whole name, which is also what HFS+ sees
}

// ntfsComponents yields the name and what follows each of its backslashes, but for
// those parts that cannot be special, as their first letter tells.
func ntfsComponents(name []byte) func(func(component) bool) {
	return func(yield func(component) bool) {
		for whole := true; ; whole = false {
			if len(name) > 0 {
				c := name[0]
				if (c == '.' || c == 'g' || c == 'G' || c >= utf8.RuneSelf) && !yield(component{name, whole}) {
					return
				}
			}
			i := bytes.IndexByte(name, '\\')
			if i < 0 {
				return
			}
			name = name[i+1:]
		}
	}
}

func (c component) isDotGit() bool {
	if c.whole && hfsEqual(c.name, "git") {
		return true
	}
	if rest, ok := cutFold(c.name, ".git"); ok && ntfsEnd(rest, true) {
		return true
	}
	rest, ok := cutFold(c.name, "git~1")
	return ok && ntfsEnd(rest, true)
}

// is reports whether the component means the file "." + name. hash is how its
// short name begins on NTFS once the ordinary short names are taken.
func (c component) is(name, hash string) bool {
	if c.whole && hfsEqual(c.name, name) {
		return true
	}
	if rest, ok := cutFold(c.name, "."+name); ok {
		return ntfsEnd(rest, false)
	}
	if rest, ok := cutFold(c.name, name[:6]+"~"); ok && len(rest) > 0 && rest[0] >= '1' && rest[0] <= '4' {
		return ntfsEnd(rest[1:], false)
	}
	return ntfsHashedShortName(c.name, hash)
}

// ntfsHashedShortName matches eight characters: some of hash, a tilde, digits.
func ntfsHashedShortName(name []byte, hash string) bool {
	tilde := bytes.IndexByte(name, '~')
	if tilde < 0 || tilde > len(hash) || len(name) < 8 {
		return false
	}
	if _, ok := cutFold(name, hash[:tilde]); !ok {
		return false
	}
	digits := name[tilde+1 : 8]
	return allDigits(digits) && digits[0] != '0' && ntfsEnd(name[8:], false)
}

// ntfsEnd reports whether NTFS ignores the rest of a name: dots and spaces, and a
// colon with the name of a stream after it.
func ntfsEnd(rest []byte, separators bool) bool {
	for _, c := range rest {
		switch {
		case c == ':' || separators && (c == '\\' || c == '/'):
			return true
		case c != '.' && c != ' ':
			return false
		}
	}
	return true
}

// cutFold cuts an ASCII prefix, whatever its case.
func cutFold(name []byte, prefix string) (rest []byte, ok bool) {
	if len(name) < len(prefix) {
		return nil, false
	}
	for i := range len(prefix) {
		if lower(name[i]) != lower(prefix[i]) {
			return nil, false
		}
	}
	return name[len(prefix):], true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// hfsEqual reports whether HFS+ takes name for "." + want.
func hfsEqual(name []byte, want string) bool {
	next := func() (rune, bool) {
		for len(name) > 0 {
			r, size := utf8.DecodeRune(name)
			if r == utf8.RuneError && size <= 1 {
				return 0, false
			}
			name = name[size:]
			if !hfsIgnores(r) {
				return r, true
			}
		}
		return 0, false
	}
	if r, ok := next(); !ok || r != '.' {
		return false
	}
	for i := range len(want) {
		r, ok := next()
		if !ok || r >= utf8.RuneSelf || lower(byte(r)) != want[i] {
			return false
		}
	}
	_, more := next()
	return !more
}

// hfsIgnores lists the code points that HFS+ leaves out of names (Apple, TN1150).
func hfsIgnores(r rune) bool {
	return r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff
}
