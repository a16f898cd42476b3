package domain

import (
	"math"
	"strconv"
	"time"
)

// Moment is a place in the log, as people name it: a position, or a time.
type Moment struct {
	Position int64     // 0 if Time says when
	Time     time.Time // what had happened by then; zero if Position says where
}

// momentLayouts are the forms of a time: RFC 3339, the same without its separators, which
// some clients cut names at, and a day, which begins at midnight UTC.
var momentLayouts = []string{time.RFC3339Nano, "20060102T150405Z0700", time.DateOnly}

// ParseMoment reads a position of the log, from 1 on, or a time. Errors are *InvalidError
// for the field "at".
func ParseMoment(text string) (Moment, error) {
	if position, err := strconv.ParseInt(text, 10, 64); err == nil && position > 0 && position < math.MaxInt64 && text[0] != '+' {
		return Moment{Position: position}, nil
	}
	for _, layout := range momentLayouts {
		if when, err := time.Parse(layout, text); err == nil {
			return Moment{Time: when.UTC()}, nil
		}
	}
	const most = 64
	if len(text) > most {
		text = text[:most] + "..."
	}
	return Moment{}, Invalid("at", "%q is neither a position of the log, such as 4711, nor a time, such as 2026-01-31T12:00:00Z or 2026-01-31.", text)
}
