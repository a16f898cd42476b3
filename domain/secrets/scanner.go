package secrets

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/annal-git/annal/domain"
)

// Pattern is a rule of one's own: lines that it is found in hold a secret.
type Pattern struct {
	Name string
	Line string // RE2
}

// Scanner knows rules. It is safe for concurrent use.
type Scanner struct {
	keywords *keywords
	own      []own
}

// own is a rule that somebody has added.
type own struct {
	name  string
	line  *regexp.Regexp
	lines *regexp.Regexp // finds at least what line finds in one of many lines; nil if none does
}

var builtinKeywords = newKeywords(builtins)

// New makes a Scanner with the built-in rules and some more. The error is a
// *domain.InvalidError.
func New(patterns []Pattern) (*Scanner, error) {
	s := &Scanner{keywords: builtinKeywords}
	for _, p := range patterns {
		line, err := regexp.Compile(p.Line)
		if err != nil {
			return nil, domain.Invalid("lineRegex", "The regular expression of the rule %q is not one of RE2: %s.", p.Name, err)
		}
		rule := own{name: p.Name, line: line}
		if !strings.Contains(p.Line, `\A`) && !strings.Contains(p.Line, `\z`) {
			if rule.lines, err = regexp.Compile(`(?m:` + p.Line + `)`); err != nil {
				rule.lines = nil // such as an unfinished \Q: looked for line by line
			}
		}
		s.own = append(s.own, rule)
	}
	return s, nil
}

// Finding is what looks like a secret.
type Finding struct {
	Rule string
	Own  int // which of the patterns given to New it is, from 1; 0 for a built-in rule
	Line int // from 1
}

// Sizes in bytes.
const (
	blockBytes  = 64 << 10 // text is looked through in blocks
	keptBytes   = 2 << 10  // of a block are looked at again with the next: secrets may lie across
	binaryBytes = 8000     // text has no NUL among the first, as for Git
	lineBytes   = 4 << 10  // a longer line is cut into pieces for rules of one's own
)

// Text is one text that is looked through, in pieces. It may be used again after Reset.
type Text struct {
	scanner *Scanner
	found   func(f Finding, line []byte)
	buffer  []byte
	line    int // number of the first line of the buffer
	seen    int64
	binary  bool
}

// Reset begins a text. found is told what is found, with the line that it is in, which is
// not to be kept; the same may be told twice. Long lines may be cut.
func (t *Text) Reset(s *Scanner, found func(f Finding, line []byte)) {
	*t = Text{scanner: s, found: found, buffer: t.buffer[:0], line: 1}
}

// Write takes the next piece of the text.
func (t *Text) Write(p []byte) (int, error) {
	n := len(p)
	if t.seen < binaryBytes && bytes.IndexByte(p[:min(int64(n), binaryBytes-t.seen)], 0) >= 0 {
		t.binary = true
	}
	t.seen += int64(n)
	if t.binary {
		return n, nil
	}
	for len(p) > 0 {
		room := min(blockBytes-len(t.buffer), len(p))
		t.buffer, p = append(t.buffer, p[:room]...), p[room:]
		if len(t.buffer) == blockBytes {
			t.scan()
			t.keep()
		}
	}
	return n, nil
}

// End looks through what is left.
func (t *Text) End() {
	if !t.binary && len(t.buffer) > 0 {
		t.scan()
	}
	t.buffer = t.buffer[:0]
}

// keep leaves the end of the buffer there, from the beginning of a line if there is one.
func (t *Text) keep() {
	from := len(t.buffer) - keptBytes
	if start := bytes.LastIndexByte(t.buffer[:from], '\n') + 1; from-start < keptBytes {
		from = start
	}
	t.line += bytes.Count(t.buffer[:from], []byte{'\n'})
	t.buffer = append(t.buffer[:0], t.buffer[from:]...)
}

func (t *Text) scan() {
	text := t.buffer
	t.scanner.keywords.each(text, func(at, rule int) {
		r := &builtins[rule]
		if !r.inside && at > 0 && isWord(text[at-1]) {
			return
		}
		match := r.pattern.Find(text[at:min(at+keptBytes, len(text))])
		if match != nil && (!r.random || looksRandom(match)) {
			t.tell(r.name, 0, at)
		}
	})
	// The end of a line is another for the many of a file of Windows.
	lined := len(t.scanner.own) > 0 && bytes.IndexByte(text, '\r') < 0
	for n, rule := range t.scanner.own {
		if lined && rule.lines != nil && !rule.lines.Match(text) {
			continue
		}
		for at := 0; at < len(text); {
			end := bytes.IndexByte(text[at:], '\n')
			if end < 0 {
				end = len(text) - at
			}
			if rule.line.Match(bytes.TrimSuffix(text[at:at+min(end, lineBytes)], []byte{'\r'})) {
				t.tell(rule.name, n+1, at)
			}
			if end > lineBytes {
				at += lineBytes / 2 // a secret may lie across the cut
				continue
			}
			at += end + 1
		}
	}
}

// tell tells of something at a place in the buffer.
func (t *Text) tell(rule string, own, at int) {
	text := t.buffer
	start := bytes.LastIndexByte(text[:at], '\n') + 1
	end := bytes.IndexByte(text[at:], '\n')
	if end < 0 {
		end = len(text) - at
	}
	line := text[max(start, at-lineBytes/2) : at+min(end, lineBytes/2)]
	t.found(Finding{Rule: rule, Own: own, Line: t.line + bytes.Count(text[:start], []byte{'\n'})}, bytes.TrimSuffix(line, []byte{'\r'}))
}

func isWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
