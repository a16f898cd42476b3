package object

import (
	"iter"
	"strings"
)

// submoduleSetting is one line of a .gitmodules file.
type submoduleSetting struct {
	submodule string // the quoted part of the section's name
	key       string // lower case
	value     string
}

// submoduleSettings reads the settings of [submodule "name"] sections from a file
// in the format of git-config(1), up to the first syntax error.
func submoduleSettings(data []byte) iter.Seq[submoduleSetting] {
	return func(yield func(submoduleSetting) bool) {
		p := configParser{rest: strings.TrimPrefix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\ufeff")}
		section, submodule := "", ""
		for {
			p.skipBlank()
			switch c, ok := p.peek(); {
			case !ok:
				return
			case c == '[':
				if section, submodule, ok = p.header(); !ok {
					return
				}
			default:
				key, value, ok := p.setting()
				if !ok {
					return
				}
				if section == "submodule" && !yield(submoduleSetting{submodule, key, value}) {
					return
				}
			}
		}
	}
}

type configParser struct{ rest string }

func (p *configParser) peek() (byte, bool) {
	if p.rest == "" {
		return 0, false
	}
	return p.rest[0], true
}

// skipBlank skips white space and comments.
func (p *configParser) skipBlank() {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\n\v\f\r")
		if !strings.HasPrefix(p.rest, "#") && !strings.HasPrefix(p.rest, ";") {
			return
		}
		p.skipLine()
	}
}

func (p *configParser) skipLine() {
	_, p.rest, _ = strings.Cut(p.rest, "\n")
}

// header reads [section] or [section "subsection"].
func (p *configParser) header() (section, subsection string, ok bool) {
	p.rest = p.rest[1:]
	n := 0
	for n < len(p.rest) && (isAlphanumeric(p.rest[n]) || p.rest[n] == '-' || p.rest[n] == '.') {
		n++
	}
	section, p.rest = strings.ToLower(p.rest[:n]), strings.TrimLeft(p.rest[n:], " \t")
	// The old form is [section.subsection].
	section, subsection, _ = strings.Cut(section, ".")
	if strings.HasPrefix(p.rest, `"`) {
		if subsection, ok = p.quotedName(); !ok {
			return "", "", false
		}
	}
	p.rest, ok = strings.CutPrefix(p.rest, "]")
	return section, subsection, ok
}

func (p *configParser) quotedName() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '\n':
			return "", false
		case '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(p.rest) || p.rest[i] == '\n' {
				return "", false
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// setting reads "key = value" or "key".
func (p *configParser) setting() (key, value string, ok bool) {
	n := 0
	for n < len(p.rest) && (isAlphanumeric(p.rest[n]) || p.rest[n] == '-') {
		n++
	}
	if n == 0 {
		return "", "", false
	}
	key, p.rest = strings.ToLower(p.rest[:n]), strings.TrimLeft(p.rest[n:], " \t")
	if p.rest, ok = strings.CutPrefix(p.rest, "="); !ok {
		c, more := p.peek()
		return key, "", !more || c == '\n' || c == '#' || c == ';'
	}
	value, ok = p.value()
	return key, value, ok
}

// value reads to the end of the line, which a backslash before it continues.
func (p *configParser) value() (string, bool) {
	var b strings.Builder
	quoted, comment := false, false
	space := 0 // white space that counts only if something follows
	rest := strings.TrimLeft(p.rest, " \t")
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch {
		case c == '\n':
			p.rest = rest[i+1:]
			return b.String(), !quoted
		case comment:
		case !quoted && (c == ' ' || c == '\t'):
			space++
		case !quoted && (c == '#' || c == ';'):
			comment = true
		default:
			for ; space > 0; space-- {
				b.WriteByte(' ')
			}
			switch {
			case c == '"':
				quoted = !quoted
			case c == '\\':
				if i++; i == len(rest) {
					return "", false
				}
				escaped := strings.IndexByte("tbn\\\"\n", rest[i])
				if escaped < 0 {
					return "", false
				}
				if rest[i] != '\n' {
					b.WriteByte("\t\b\n\\\""[escaped])
				}
			default:
				b.WriteByte(c)
			}
		}
	}
	p.rest = ""
	return b.String(), !quoted
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
