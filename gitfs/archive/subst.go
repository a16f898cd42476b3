package archive

import (
	"bytes"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// substitute replaces $Format:...$ by what the commit says. Placeholders are those of git
// log that concern a commit alone and the refs that name it; others stay as they are.
func (a *Archive) substitute(data []byte) []byte {
	const begin = "$Format:"
	var out []byte
	for {
		at := bytes.Index(data, []byte(begin))
		if at < 0 {
			break
		}
		end := bytes.IndexByte(data[at+len(begin):], '$')
		if end < 0 {
			break
		}
		format := data[at+len(begin) : at+len(begin)+end]
		out = append(append(out, data[:at]...), a.expand(string(format))...)
		data = data[at+len(begin)+end+1:]
	}
	if out == nil {
		return data
	}
	return append(out, data...)
}

func (a *Archive) expand(format string) string {
	var b strings.Builder
	for {
		text, rest, found := strings.Cut(format, "%")
		b.WriteString(text)
		if !found {
			return b.String()
		}
		value, n := a.placeholder(rest)
		if n == 0 {
			value = "%"
		}
		b.WriteString(value)
		format = rest[n:]
	}
}

// placeholder expands what stands at the beginning of s and says how long that is; 0 if it
// is not known.
func (a *Archive) placeholder(s string) (value string, n int) {
	if s == "" {
		return "", 0
	}
	c := a.commit
	switch s[0] {
	case '%':
		return "%", 1
	case 'n':
		return "\n", 1
	case 'x':
		if len(s) >= 3 {
			if v, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				return string([]byte{byte(v)}), 3
			}
		}
		return "", 0
	case 'H':
		return a.request.Commit.String(), 1
	case 'h':
		return a.abbreviate(a.request.Commit), 1
	case 'T':
		return c.Tree.String(), 1
	case 't':
		return a.abbreviate(c.Tree), 1
	case 'P', 'p':
		var ids []string
		for _, id := range c.Parents {
			if s[0] == 'P' {
				ids = append(ids, id.String())
			} else {
				ids = append(ids, a.abbreviate(id))
			}
		}
		return strings.Join(ids, " "), 1
	case 'a':
		return person(c.Author, s)
	case 'c':
		return person(c.Committer, s)
	case 'd':
		if names := a.names(); names != "" {
			return " (" + names + ")", 1
		}
		return "", 1
	case 'D':
		return a.names(), 1
	case 'e':
		return c.Encoding, 1
	case 's':
		return subject(c.Message), 1
	case 'f':
		line, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
		return sanitized(line), 1
	case 'b':
		return body(c.Message), 1
	case 'B':
		return strings.TrimLeft(c.Message, "\n"), 1
	}
	return "", 0
}

// person expands %a? and %c?.
func person(p object.Signature, s string) (value string, n int) {
	if len(s) < 2 {
		return "", 0
	}
	local, _, _ := strings.Cut(p.Email, "@")
	switch s[1] {
	case 'n', 'N':
		return p.Name, 2
	case 'e', 'E':
		return p.Email, 2
	case 'l', 'L':
		return local, 2
	case 'd':
		return p.When.Format("Mon Jan 2 15:04:05 2006 -0700"), 2
	case 'D':
		return p.When.Format("Mon, 2 Jan 2006 15:04:05 -0700"), 2
	case 't':
		return strconv.FormatInt(p.When.Unix(), 10), 2
	case 'i':
		return p.When.Format("2006-01-02 15:04:05 -0700"), 2
	case 'I':
		return p.When.Format(time.RFC3339), 2
	case 's':
		return p.When.Format(time.DateOnly), 2
	}
	return "", 0
}

// abbreviate is an id's beginning, as long as Git would make it in a repository of this
// size, and longer if it is not unique.
func (a *Archive) abbreviate(id git.ObjectID) string {
	const shortest = 7
	n := max(shortest, (bits.Len(uint(a.objects.Count()))+1)/2)
	for n < 2*len(id) && len(a.objects.WithPrefix(id, n, 2)) > 1 {
		n++
	}
	return id.String()[:n]
}

// names lists the refs that name the commit, HEAD first and then backwards by name, as
// Git's decorations are.
func (a *Archive) names() string {
	var names []string
	head := false
	for ref := range a.snapshot.Refs.Prefixed("") {
		if ref.ID != a.request.Commit && ref.Peeled != a.request.Commit {
			continue
		}
		name := ref.Name
		switch {
		case name == a.snapshot.Head:
			head = true
			continue
		case strings.HasPrefix(name, "refs/heads/"):
			name = name[len("refs/heads/"):]
		case strings.HasPrefix(name, "refs/tags/"):
			name = "tag: " + name[len("refs/tags/"):]
		case strings.HasPrefix(name, "refs/remotes/"):
			name = name[len("refs/remotes/"):]
		}
		names = append(names, name)
	}
	if head {
		names = append(names, "HEAD -> "+strings.TrimPrefix(a.snapshot.Head, "refs/heads/"))
	}
	slices.Reverse(names)
	return strings.Join(names, ", ")
}

// subject is the first paragraph of a message on one line.
func subject(message string) string {
	paragraph, _ := cutSubject(message)
	return strings.Join(paragraph, " ")
}

// cutSubject parts a message behind its first paragraph.
func cutSubject(message string) (paragraph []string, rest string) {
	message = strings.TrimLeft(message, "\n")
	for message != "" {
		line, after, _ := strings.Cut(message, "\n")
		if line = strings.TrimRight(line, " \t\r"); line == "" {
			break
		}
		paragraph, message = append(paragraph, line), after
	}
	return paragraph, message
}

func body(message string) string {
	_, rest := cutSubject(message)
	return strings.TrimLeft(rest, "\n")
}

// sanitized makes a file's name of a line.
func sanitized(line string) string {
	var b strings.Builder
	gap := 2
	for i := range len(line) {
		c := line[i]
		title := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_'
		if !title {
			gap |= 1
			continue
		}
		if gap == 1 {
			b.WriteByte('-')
		}
		gap = 0
		if c == '.' && i+1 < len(line) && line[i+1] == '.' {
			continue // one dot of several
		}
		b.WriteByte(c)
	}
	return strings.TrimRight(b.String(), ".-")
}
