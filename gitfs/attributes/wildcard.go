package attributes

import "bytes"

// Match reports whether text matches a wildcard pattern, by the rules of gitignore(5). If
// slashes count, neither * nor ? nor a bracket matches one, and ** stands for any number
// of folders; else * matches anything. The effort is bounded by the product of the
// lengths for each star.
func Match(pattern, text string, slashes bool) bool {
	m := matcher{slashes: slashes, steps: maxSteps}
	return m.match([]byte(pattern), []byte(text)) == matched
}

// maxSteps bounds the work for one pattern: strangers write them.
const maxSteps = 100_000

type outcome int

const (
	failed outcome = iota
	matched
	hopeless // no other place for an earlier star can help
)

type matcher struct {
	slashes bool
	steps   int
}

func (m *matcher) match(p, t []byte) outcome {
	for whole := p; len(p) > 0; {
		if m.steps--; m.steps < 0 {
			return hopeless
		}
		if p[0] == '*' {
			return m.star(whole, p, t)
		}
		if len(t) == 0 {
			return hopeless
		}
		switch p[0] {
		case '?':
			if m.slashes && t[0] == '/' {
				return failed
			}
			p = p[1:]
		case '[':
			rest, ok, valid := bracket(p, t[0])
			if !valid {
				return hopeless
			}
			if !ok || m.slashes && t[0] == '/' {
				return failed
			}
			p = rest
		default:
			if p[0] == '\\' && len(p) > 1 {
				p = p[1:]
			}
			if p[0] != t[0] {
				return failed
			}
			p = p[1:]
		}
		t = t[1:]
	}
	if len(t) > 0 {
		return failed
	}
	return matched
}

// star matches a pattern that starts with one or more stars; whole is what it is a part of.
func (m *matcher) star(whole, p, t []byte) outcome {
	rest := bytes.TrimLeft(p, "*")
	before := len(whole) - len(p)
	across := !m.slashes
	if m.slashes && len(p)-len(rest) > 1 && (before == 0 || whole[before-1] == '/') &&
		(len(rest) == 0 || rest[0] == '/' || len(rest) > 1 && rest[0] == '\\' && rest[1] == '/') {
		// "**/" matches no folder as well.
		if len(rest) > 0 && rest[0] == '/' && m.match(rest[1:], t) == matched {
			return matched
		}
		across = true
	}
	if len(rest) == 0 {
		if !across && bytes.IndexByte(t, '/') >= 0 {
			return failed
		}
		return matched
	}
	for ; ; t = t[1:] {
		if m.steps--; m.steps < 0 {
			return hopeless
		}
		if got := m.match(rest, t); got != failed {
			if got == matched || !m.slashes || across {
				return got
			}
		}
		if len(t) == 0 {
			return hopeless
		}
		if !across && t[0] == '/' {
			return failed
		}
	}
}

// bracket matches one byte with a set such as [a-z], [!x] or [[:digit:]], and returns what
// follows the set in the pattern. It is not valid if it has no end.
func bracket(p []byte, c byte) (rest []byte, ok, valid bool) {
	p = p[1:]
	negated := len(p) > 0 && (p[0] == '!' || p[0] == '^')
	if negated {
		p = p[1:]
	}
	for first := true; ; first = false {
		if len(p) == 0 {
			return nil, false, false
		}
		if p[0] == ']' && !first {
			return p[1:], ok != negated, true
		}
		if name, isClass := bytes.CutPrefix(p, []byte("[:")); isClass {
			end := bytes.IndexByte(name, ']')
			if end < 0 {
				return nil, false, false
			}
			if end > 0 && name[end-1] == ':' { // else the [ stands for itself
				in, known := class(string(name[:end-1]), c)
				if !known {
					return nil, false, false
				}
				ok = ok || in
				p = name[end+1:]
				continue
			}
		}
		var low byte
		if low, p, valid = member(p); !valid {
			return nil, false, false
		}
		high := low
		if len(p) > 1 && p[0] == '-' && p[1] != ']' {
			if high, p, valid = member(p[1:]); !valid {
				return nil, false, false
			}
		}
		ok = ok || low <= c && c <= high
	}
}

// member reads one byte of a set.
func member(p []byte) (c byte, rest []byte, ok bool) {
	if p[0] == '\\' {
		if p = p[1:]; len(p) == 0 {
			return 0, nil, false
		}
	}
	return p[0], p[1:], true
}

func class(name string, c byte) (in, known bool) {
	upper, lower, digit := c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9'
	switch name {
	case "alnum":
		return upper || lower || digit, true
	case "alpha":
		return upper || lower, true
	case "blank":
		return c == ' ' || c == '\t', true
	case "cntrl":
		return c < 0x20 || c == 0x7f, true
	case "digit":
		return digit, true
	case "graph":
		return c > 0x20 && c < 0x7f, true
	case "lower":
		return lower, true
	case "print":
		return c >= 0x20 && c < 0x7f, true
	case "punct":
		return c > 0x20 && c < 0x7f && !upper && !lower && !digit, true
	case "space":
		return c == ' ' || c >= '\t' && c <= '\r', true
	case "upper":
		return upper, true
	case "xdigit":
		return digit || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F', true
	}
	return false, false
}
