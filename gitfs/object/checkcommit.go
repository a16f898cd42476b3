package object

import (
	"bytes"
	"fmt"
)

// The checks below return the kind and the detail of the first fault, or "".

func checkCommit(data []byte) (kind, detail string) {
	if kind, detail := checkHeader(data); kind != "" {
		return kind, detail
	}
	if !bytes.HasPrefix(data, []byte("tree ")) {
		return "missingTree", "it has no tree line"
	}
	_, rest, ok := cutLink(data, "tree ")
	if !ok {
		return "badTreeSha1", "its tree line has no object id"
	}
	for parents := 0; bytes.HasPrefix(rest, []byte("parent ")); parents++ {
		if _, rest, ok = cutLink(rest, "parent "); !ok {
			return "badParentSha1", "a parent line has no object id"
		}
		if parents == MaxParents {
			return "limit", fmt.Sprintf("more than %d parents", MaxParents)
		}
	}
	authors := 0
	for bytes.HasPrefix(rest, []byte("author ")) {
		if rest, kind, detail = checkIdentity(rest[len("author "):]); kind != "" {
			return kind, "author: " + detail
		}
		authors++
	}
	switch {
	case authors == 0:
		return "missingAuthor", "it has no author line"
	case authors > 1:
		return "multipleAuthors", "it has more than one author line"
	case !bytes.HasPrefix(rest, []byte("committer ")):
		return "missingCommitter", "it has no committer line"
	}
	if _, kind, detail = checkIdentity(rest[len("committer "):]); kind != "" {
		return kind, "committer: " + detail
	}
	return "", ""
}

func checkTag(data []byte) (kind, detail string) {
	if kind, detail := checkHeader(data); kind != "" {
		return kind, detail
	}
	if !bytes.HasPrefix(data, []byte("object ")) {
		return "missingObject", "it has no object line"
	}
	_, rest, ok := cutLink(data, "object ")
	if !ok {
		return "badObjectSha1", "its object line has no object id"
	}
	line, rest, ok := bytes.Cut(rest, []byte("\n"))
	name, found := bytes.CutPrefix(line, []byte("type "))
	switch {
	case !found:
		return "missingTypeEntry", "it has no type line"
	case !ok:
		return "missingType", "its type line does not end"
	}
	if _, err := ParseType(string(name)); err != nil {
		return "badType", err.Error()
	}
	line, rest, ok = bytes.Cut(rest, []byte("\n"))
	switch {
	case !bytes.HasPrefix(line, []byte("tag ")):
		return "missingTagEntry", "it has no tag line"
	case !ok:
		return "missingTag", "its tag line does not end"
	}
	// Tags of the first months of Git have no tagger.
	if identity, ok := bytes.CutPrefix(rest, []byte("tagger ")); ok {
		if _, kind, detail = checkIdentity(identity); kind != "" {
			return kind, "tagger: " + detail
		}
	}
	return "", ""
}

// checkHeader looks at everything before the message.
func checkHeader(data []byte) (kind, detail string) {
	header := data
	if end := bytes.Index(data, []byte("\n\n")); end >= 0 {
		header = data[:end+1]
	}
	switch {
	case len(header) > MaxCommitHeader:
		return "limit", fmt.Sprintf("header of more than %d bytes", MaxCommitHeader)
	case bytes.IndexByte(header, 0) >= 0:
		return "nulInHeader", "its header has a NUL byte"
	case !bytes.HasSuffix(header, []byte("\n")):
		return "unterminatedHeader", "its header does not end with a newline"
	}
	return "", ""
}

// checkIdentity looks at "Name <email> seconds zone" and the newline after it, and
// returns what follows.
func checkIdentity(data []byte) (rest []byte, kind, detail string) {
	line, rest := cutLine(data)
	fail := func(kind, detail string) ([]byte, string, string) { return nil, kind, detail }

	open := bytes.IndexAny(line, "<>")
	switch {
	case open == 0 && line[0] == '<':
		return fail("missingNameBeforeEmail", "no name before the e-mail address")
	case open < 0:
		return fail("missingEmail", "no e-mail address")
	case line[open] == '>':
		return fail("badName", `a ">" in the name`)
	case line[open-1] != ' ':
		return fail("missingSpaceBeforeEmail", "no space before the e-mail address")
	}
	line = line[open+1:]
	end := bytes.IndexAny(line, "<>")
	if end < 0 || line[end] == '<' {
		return fail("badEmail", "the e-mail address does not end")
	}
	line = line[end+1:]
	if len(line) == 0 || line[0] != ' ' {
		return fail("missingSpaceBeforeDate", "no space before the date")
	}
	date, zone, found := bytes.Cut(line[1:], []byte(" "))
	switch {
	case !found || len(date) == 0 || !allDigits(date):
		return fail("badDate", "the date is not a number of seconds")
	case date[0] == '0' && len(date) > 1:
		return fail("zeroPaddedDate", "the date starts with a zero")
	case len(date) > 18: // fits into 63 bits
		return fail("badDateOverflow", "the date is too far away")
	case len(zone) != 5 || zone[0] != '+' && zone[0] != '-' || !allDigits(zone[1:]):
		return fail("badTimezone", "the time zone is not like +0100")
	}
	return rest, "", ""
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
