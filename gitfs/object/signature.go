package object

import (
	"bytes"
	"strconv"
	"time"
)

// Signature is who did something and when: the author and committer of a commit,
// the tagger of a tag. Name and Email are bytes as stored, which old histories
// hold in encodings other than UTF-8.
type Signature struct {
	Name  string
	Email string
	When  time.Time // in the zone that was stored; the epoch if it cannot be read
}

// parseSignature reads "Name <email> seconds zone" as leniently as git log does:
// what is missing or malformed becomes empty.
func parseSignature(line []byte) Signature {
	open := bytes.IndexByte(line, '<')
	if open < 0 {
		return Signature{Name: string(bytes.TrimSpace(line)), When: time.Unix(0, 0).UTC()}
	}
	s := Signature{Name: string(bytes.TrimSpace(line[:open]))}
	rest := line[open+1:]
	if end := bytes.IndexByte(rest, '>'); end >= 0 {
		s.Email = string(bytes.TrimSpace(rest[:end]))
	} else {
		s.Email = string(bytes.TrimSpace(rest))
	}
	seconds, zone := parseDate(line)
	s.When = time.Unix(seconds, 0).In(parseZone(zone))
	return s
}

// parseDate finds the seconds and the zone behind the last '>' of a line.
func parseDate(line []byte) (seconds int64, zone []byte) {
	date := bytes.TrimLeft(line[bytes.LastIndexByte(line, '>')+1:], " ")
	digits := 0
	for digits < len(date) && date[digits] >= '0' && date[digits] <= '9' {
		if seconds > (1<<62)/10 {
			return 0, nil
		}
		seconds = seconds*10 + int64(date[digits]-'0')
		digits++
	}
	// Beyond the year 9999 nothing can write the date down again.
	if digits == 0 || seconds > maxSeconds {
		return 0, nil
	}
	return seconds, bytes.TrimSpace(date[digits:])
}

const maxSeconds = 253402300799 // 9999-12-31T23:59:59Z

// parseZone reads "+0130". Zones that old tools wrote wrongly mean UTC.
func parseZone(zone []byte) *time.Location {
	if len(zone) != 5 || (zone[0] != '+' && zone[0] != '-') {
		return time.UTC
	}
	n, err := strconv.ParseUint(string(zone[1:]), 10, 16)
	if err != nil || n == 0 || n > 2400 {
		return time.UTC
	}
	offset := int(n/100*3600 + n%100*60)
	if zone[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset)
}
