package rest

import (
	"bytes"
	"net/http"
	"strings"

	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/diff"
)

func (a *API) diffRoutes() []route {
	query := []string{"contextLines", "whitespace", "srcPath"}
	of := func(path, summary string, handle handler, more ...string) (whole, one route) {
		r := route{method: http.MethodGet, summary: summary, handle: handle, query: append(more, query...), answer: restDiffs{}}
		whole, one = r, r
		whole.path, one.path, one.tail = repositoryPath+path, repositoryPath+path+"/{path}", true
		return whole, one
	}
	commit, commitPath := of("/commits/{commitId}/diff", "Get what a commit changed, line by line", a.handleCommitDiff, "since", "autoSrcPath", "withComments")
	diff, diffPath := of("/diff", "Get what differs between two commits, line by line", a.handleDiff, "until", "since")
	compare, comparePath := of("/compare/diff", "Get what the commits of one branch and not of another change, line by line", a.handleCompareDiff, "from", "to", "fromRepo")
	commit.variant, compare.variant, comparePath.variant = true, true, true
	return []route{commit, commitPath, diff, diffPath, compare, comparePath}
}

// Bounds of differences in JSON.
const (
	defaultContextLines = 10
	maxContextLines     = 10_000
	maxDiffLines        = 10_000 // page.max.diff.lines
)

type restDiffs struct {
	FromHash     *string    `json:"fromHash"`
	ToHash       string     `json:"toHash"`
	ContextLines int        `json:"contextLines"`
	Whitespace   string     `json:"whitespace"`
	Diffs        []restDiff `json:"diffs"`
	Truncated    bool       `json:"truncated"`
}

type restDiff struct {
	Source      *restPath      `json:"source"`
	Destination *restPath      `json:"destination"`
	Hunks       []restDiffHunk `json:"hunks,omitempty"`
	Binary      bool           `json:"binary,omitempty"`
	Truncated   bool           `json:"truncated"`
}

type restDiffHunk struct {
	Context         string            `json:"context,omitempty"`
	SourceLine      int               `json:"sourceLine"`
	SourceSpan      int               `json:"sourceSpan"`
	DestinationLine int               `json:"destinationLine"`
	DestinationSpan int               `json:"destinationSpan"`
	Segments        []restDiffSegment `json:"segments"`
	Truncated       bool              `json:"truncated"`
}

type restDiffSegment struct {
	Type      string         `json:"type"`
	Lines     []restDiffLine `json:"lines"`
	Truncated bool           `json:"truncated"`
}

type restDiffLine struct {
	Source      int    `json:"source"`
	Destination int    `json:"destination"`
	Line        string `json:"line"`
	Truncated   bool   `json:"truncated"`
}

func (a *API) handleCommitDiff(c *call) error {
	return a.diff(c, !accepts(c, "text/plain"), a.commitSpan)
}

func (a *API) handleDiff(c *call) error {
	return a.diff(c, accepts(c, "application/json"), a.untilSpan)
}

func (a *API) handleCompareDiff(c *call) error { return a.diff(c, true, a.comparedSpan) }

// accepts reports whether a request names a type among those that it takes.
func accepts(c *call, kind string) bool {
	return strings.Contains(c.Request().Header.Get("Accept"), kind)
}

func (a *API) diff(c *call, asJSON bool, between spanOf) error {
	contextLines, err := c.count("contextLines", defaultContextLines)
	if err != nil {
		if c.QueryParam("contextLines") != "-1" {
			return err
		}
		contextLines = defaultContextLines
	}
	whitespace, err := c.choice("whitespace", "SHOW", "SHOW", "IGNORE-ALL", "IGNORE_ALL")
	if err != nil {
		return err
	}
	auto, err := c.flag("autoSrcPath", false)
	if err != nil {
		return err
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	s, err := between(c, r)
	if err != nil {
		return err
	}
	query := browse.DiffQuery{
		ChangeQuery: browse.ChangeQuery{
			From: s.From, To: s.To, Path: strings.Trim(c.tail(), "/"), OldPath: strings.Trim(c.QueryParam("srcPath"), "/"),
		},
		Context: min(contextLines, maxContextLines),
	}
	query.Renames = query.Path == ""
	if whitespace != "SHOW" {
		whitespace, query.Whitespace = "IGNORE_ALL", diff.IgnoreWhitespace
	}
	if auto && query.Path != "" && query.OldPath == "" {
		if query.OldPath, err = a.sourceOf(c, r, query.ChangeQuery); err != nil {
			return err
		}
	}
	if !asJSON {
		return a.writePatch(c, r, query)
	}
	answer := restDiffs{FromHash: s.fromHash(), ToHash: s.To.String(), ContextLines: query.Context, Whitespace: whitespace, Diffs: []restDiff{}}
	left := maxDiffLines
	truncated, err := a.Contents.Diff(c.ctx(), r.Snapshot, query, func(f browse.FileDiff) error {
		if left <= 0 || len(answer.Diffs) == maxLimit {
			answer.Truncated = true
			return browse.ErrEnough
		}
		one := newRestDiff(f, &left)
		answer.Truncated = answer.Truncated || one.Truncated
		answer.Diffs = append(answer.Diffs, one)
		return nil
	})
	if err != nil {
		return err
	}
	answer.Truncated = answer.Truncated || truncated
	return c.json(http.StatusOK, answer)
}

// sourceOf is where a file was before it was moved, "" if it was not.
func (a *API) sourceOf(c *call, r repositoryAt, q browse.ChangeQuery) (string, error) {
	list, _, err := a.Contents.Changes(c.ctx(), r.Snapshot, browse.ChangeQuery{From: q.From, To: q.To, Renames: true})
	for _, change := range list {
		if change.Kind == browse.Renamed && change.Path == q.Path {
			return change.OldPath, nil
		}
	}
	return "", err
}

// writePatch streams the differences as text.
func (a *API) writePatch(c *call, r repositoryAt, query browse.DiffQuery) error {
	header := c.Response().Header()
	header.Set("Content-Type", "text/plain;charset=UTF-8")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w := &partsWriter{c.Response(), http.NewResponseController(c.Response())}
	_, err := a.Contents.Diff(c.ctx(), r.Snapshot, query, func(f browse.FileDiff) error {
		return browse.WritePatch(w, f)
	})
	if err != nil && c.Response().Committed {
		a.Logger.WarnContext(c.ctx(), "patch broken off", "request", header.Get(headerRequestID), "error", err)
		panic(http.ErrAbortHandler) // a patch that is cut off must not look whole
	}
	if err == nil && !c.Response().Committed {
		return c.NoContent(http.StatusOK)
	}
	return err
}

var segmentTypes = map[diff.Kind]string{diff.Context: "CONTEXT", diff.Added: "ADDED", diff.Removed: "REMOVED"}

// newRestDiff takes up to left lines of a file's differences.
func newRestDiff(f browse.FileDiff, left *int) restDiff {
	answer := restDiff{Binary: f.Binary, Truncated: f.TooLarge}
	if f.Kind != browse.Added {
		path := newRestPath(f.OldPath)
		answer.Source = &path
	}
	if f.Kind != browse.Deleted {
		path := newRestPath(f.Path)
		answer.Destination = &path
	}
	for _, h := range f.Hunks {
		if *left <= 0 {
			answer.Truncated = true
			break
		}
		hunk := restDiffHunk{
			Context:    strings.ToValidUTF8(f.Heading(h), "\uFFFD"),
			SourceLine: firstLine(h.A, h.AEnd), SourceSpan: h.AEnd - h.A, DestinationLine: firstLine(h.B, h.BEnd), DestinationSpan: h.BEnd - h.B,
		}
		h.Each(func(kind diff.Kind, x, y int) bool {
			if *left--; *left < 0 {
				hunk.Truncated, answer.Truncated = true, true
				if n := len(hunk.Segments); n > 0 {
					hunk.Segments[n-1].Truncated = true
				}
				return false
			}
			if n := len(hunk.Segments); n == 0 || hunk.Segments[n-1].Type != segmentTypes[kind] {
				hunk.Segments = append(hunk.Segments, restDiffSegment{Type: segmentTypes[kind]})
			}
			segment := &hunk.Segments[len(hunk.Segments)-1]
			text, cut := shownLine(f.Line(kind, x, y))
			segment.Lines = append(segment.Lines, restDiffLine{Source: x + 1, Destination: y + 1, Line: text, Truncated: cut})
			return true
		})
		answer.Hunks = append(answer.Hunks, hunk)
	}
	return answer
}

// firstLine is where lines begin, counted from 1; of none it is the line before.
func firstLine(from, to int) int {
	if from == to {
		return from
	}
	return from + 1
}

// shownLine is a line without its end, cut off if it is long.
func shownLine(line []byte) (text string, cut bool) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if cut = len(line) > maxLineLength; cut {
		line = line[:maxLineLength]
	}
	return strings.ToValidUTF8(string(line), "\uFFFD"), cut
}
