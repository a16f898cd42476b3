package attributes

import (
	"strings"
)

// MaxFile is how large a .gitattributes file may be to be read, in bytes; maxLine is that
// of its lines. What is larger is passed over.
const (
	MaxFile = 1 << 20
	maxLine = 2048
)

// Name is how files of attributes are called.
const Name = ".gitattributes"

// Value is what is said of an attribute: "" means that nothing is (unspecified), True and
// False that it is set or unset, and anything else is its value.
type Value string

// The values without an own text. No file can write them.
const (
	True  Value = "\x00true"
	False Value = "\x00false"
)

// setting is one attribute on a line.
type setting struct {
	name  string
	value Value
}

// rule is one line.
type rule struct {
	pattern  string
	anchored bool // has a slash, and so is matched from the file's folder on
	folders  bool // matches folders only
	macro    bool // pattern is the name of a macro
	settings []setting
}

// File is a parsed file of attributes.
type File struct{ rules []rule }

// Parse reads a file. Lines that are not understood are passed over, as Git does. Only at
// the top of a tree may a file define macros.
func Parse(data []byte, top bool) *File {
	f := &File{}
	text := strings.TrimPrefix(string(data), "\ufeff")
	for line := range strings.SplitSeq(text, "\n") {
		if r, ok := parseLine(strings.TrimSuffix(line, "\r"), top); ok && len(line) <= maxLine {
			f.rules = append(f.rules, r)
		}
	}
	return f
}

const blanks = " \t\r"

func parseLine(line string, top bool) (r rule, ok bool) {
	line = strings.TrimLeft(line, blanks)
	if line == "" || line[0] == '#' {
		return rule{}, false
	}
	var rest string
	if line[0] == '"' {
		var quoted bool
		if r.pattern, rest, quoted = unquote(line); !quoted {
			r.pattern, rest = cutBlank(line)
		}
	} else {
		r.pattern, rest = cutBlank(line)
	}
	if name, isMacro := strings.CutPrefix(r.pattern, "[attr]"); isMacro {
		if !top {
			return rule{}, false
		}
		if name == "" {
			name, rest = cutBlank(strings.TrimLeft(rest, blanks))
		}
		if !validName(name) {
			return rule{}, false
		}
		r.pattern, r.macro = name, true
	} else {
		if strings.HasPrefix(r.pattern, "!") {
			return rule{}, false // has no meaning here
		}
		r.folders = strings.HasSuffix(r.pattern, "/")
		r.pattern = strings.TrimSuffix(r.pattern, "/")
		r.anchored = strings.Contains(r.pattern, "/")
		r.pattern = strings.TrimPrefix(r.pattern, "/")
	}
	for word := range strings.FieldsFuncSeq(rest, func(c rune) bool { return strings.ContainsRune(blanks, c) }) {
		s := setting{name: word, value: True}
		switch {
		case word[0] == '-':
			s = setting{name: word[1:], value: False}
		case word[0] == '!':
			s = setting{name: word[1:]}
		default:
			if name, value, given := strings.Cut(word, "="); given {
				s = setting{name: name, value: Value(value)}
			}
		}
		if !validName(s.name) {
			return rule{}, false
		}
		r.settings = append(r.settings, s)
	}
	return r, true
}

func cutBlank(line string) (word, rest string) {
	if i := strings.IndexAny(line, blanks); i >= 0 {
		return line[:i], line[i:]
	}
	return line, ""
}

func validName(name string) bool {
	if name == "" || name[0] == '-' {
		return false
	}
	return strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}) < 0
}

// unquote reads a pattern in quotes, as C writes strings.
func unquote(line string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; c {
		case '"':
			return b.String(), line[i+1:], true
		case '\\':
			if i++; i == len(line) {
				return "", "", false
			}
			if at := strings.IndexByte(`abfnrtv\"`, line[i]); at >= 0 {
				b.WriteByte("\a\b\f\n\r\t\v\\\""[at])
				continue
			}
			if i+2 >= len(line) {
				return "", "", false
			}
			n := 0
			for _, digit := range []byte(line[i : i+3]) {
				if digit < '0' || digit > '7' {
					return "", "", false
				}
				n = n<<3 | int(digit-'0')
			}
			if n > 255 {
				return "", "", false
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// matches reports whether a rule speaks of a path, relative to the file's folder.
func (r *rule) matches(path string, folder bool) bool {
	if r.macro || r.folders && !folder {
		return false
	}
	if r.anchored {
		return Match(r.pattern, path, true)
	}
	return Match(r.pattern, path[strings.LastIndexByte(path, '/')+1:], false)
}
