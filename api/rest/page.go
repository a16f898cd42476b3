package rest

import (
	"math"
	"strconv"

	"github.com/annal-git/annal/domain"
)

// Sizes of pages.
const (
	defaultLimit = 25
	maxLimit     = 1000
	maxCommits   = 100     // page.max.commits of Bitbucket
	maxLines     = 5000    // page.max.source.lines
	maxFiles     = 100_000 // page.max.directory.recursive.children
)

// page is the envelope of every list.
type page[T any] struct {
	Size          int  `json:"size"`
	Limit         int  `json:"limit"`
	IsLastPage    bool `json:"isLastPage"`
	Values        []T  `json:"values"`
	Start         int  `json:"start"`
	NextPageStart *int `json:"nextPageStart"` // null on the last page
}

// window is the part of a list that the client asks for.
type window struct {
	Start, Limit int
}

// window reads start and limit. A limit over the maximum is lowered silently, as the
// answer then says.
func (c *call) window(maximum int) (window, error) {
	start, err := c.count("start", 0)
	if err != nil {
		return window{}, err
	}
	limit, err := c.count("limit", defaultLimit)
	if err != nil {
		return window{}, err
	}
	if limit == 0 {
		limit = defaultLimit
	}
	return window{Start: start, Limit: min(limit, maximum)}, nil
}

// position reads a query parameter that is a position of the log; 0 if it is absent.
func (c *call) position(name string) (int64, error) {
	text := c.QueryParam(name)
	if text == "" {
		return 0, nil
	}
	position, err := strconv.ParseInt(text, 10, 64)
	if err != nil || position < 0 || position == math.MaxInt64 {
		return 0, domain.Invalid(name, "The parameter %q must be a position of the log.", name)
	}
	return position, nil
}

// count reads a query parameter that is a number from 0 to 2^31-1.
func (c *call) count(name string, absent int) (int, error) {
	text := c.QueryParam(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, domain.Invalid(name, "The parameter %q must be a number from 0 to %d.", name, math.MaxInt32)
	}
	return int(n), nil
}

// pageOf makes the envelope around the values found for a window.
func pageOf[T any](w window, values []T, more bool) page[T] {
	p := page[T]{Size: len(values), Limit: w.Limit, IsLastPage: !more, Values: values, Start: w.Start}
	if values == nil {
		p.Values = []T{}
	}
	if more {
		next := w.Start + len(values)
		p.NextPageStart = &next
	}
	return p
}

// cut takes the window out of a whole list.
func cut[T any](w window, all []T) (values []T, more bool) {
	if w.Start >= len(all) {
		return nil, false
	}
	rest := all[w.Start:]
	if len(rest) > w.Limit {
		return rest[:w.Limit], true
	}
	return rest, false
}

func convert[T, U any](list []T, one func(T) U) []U {
	converted := make([]U, len(list))
	for i, v := range list {
		converted[i] = one(v)
	}
	return converted
}
