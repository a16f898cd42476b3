package rest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/object"
)

func (a *API) contentRoutes() []route {
	browsing := route{
		method: http.MethodGet, summary: "Read a page of a file's lines or of a directory's entries",
		handle: a.handleBrowse, query: []string{"at", "type", "size", "blame", "noContent", "start", "limit"}, answer: restDirectory{},
	}
	files := route{
		method: http.MethodGet, summary: "List the paths of all files of a directory and below it",
		handle: a.handleListFiles, query: []string{"at"}, paged: true, answer: "",
	}
	at := func(r route, path string, tail bool) route {
		r.path, r.tail = repositoryPath+path, tail
		return r
	}
	return []route{
		at(browsing, "/browse", false), at(browsing, "/browse/{path}", true),
		at(files, "/files", false), at(files, "/files/{path}", true),
		at(route{
			method: http.MethodGet, summary: "Get a file's bytes", handle: a.handleGetRaw, query: []string{"at"}, answer: []byte{}, streams: true,
		}, "/raw/{path}", true),
	}
}

// Sizes of what browse answers with.
const (
	defaultLines   = 500
	maxLineLength  = 5000 // bytes; the rest of a longer line is cut off
	binaryDetected = 8000 // bytes that tell text from other files
)

type restPath struct {
	Components []string `json:"components"`
	Parent     string   `json:"parent"`
	Name       string   `json:"name"`
	Extension  string   `json:"extension,omitempty"`
	ToString   string   `json:"toString"`
}

type restDirectory struct {
	Path     restPath               `json:"path"`
	Revision string                 `json:"revision"`
	Children page[restDirectoryRow] `json:"children"`
}

type restDirectoryRow struct {
	Path      restPath `json:"path"`
	ContentID string   `json:"contentId,omitempty"`
	Node      string   `json:"node,omitempty"` // of a directory
	Type      string   `json:"type"`
	Size      *int64   `json:"size,omitempty"` // of a file
}

type restLines struct {
	Lines         []restLine  `json:"lines"`
	Start         int         `json:"start"`
	Size          int         `json:"size"`
	Limit         int         `json:"limit"`
	IsLastPage    bool        `json:"isLastPage"`
	NextPageStart *int        `json:"nextPageStart"`
	Blame         []restBlame `json:"blame,omitempty"` // if it was asked for
}

type restLine struct {
	Text      string `json:"text"`
	Truncated bool   `json:"truncated,omitempty"`
}

type restBinary struct {
	Binary bool     `json:"binary"`
	Path   restPath `json:"path"`
}

func newRestPath(p string) restPath {
	if p == "" {
		return restPath{Components: []string{}}
	}
	p = strings.ToValidUTF8(p, "\uFFFD")
	parent, name := path.Split(p)
	return restPath{
		Components: strings.Split(p, "/"), Parent: strings.TrimSuffix(parent, "/"), Name: name,
		Extension: strings.TrimPrefix(path.Ext(name), "."), ToString: p,
	}
}

// nodeType is what Bitbucket calls a kind of entry.
func nodeType(mode object.FileMode) string {
	switch {
	case mode.IsTree():
		return "DIRECTORY"
	case mode.IsGitlink():
		return "SUBMODULE"
	}
	return "FILE"
}

// place is what stands at the path of a request, at the commit that it asks for.
type place struct {
	repositoryAt
	commit git.ObjectID
	path   string
	object.TreeEntry
}

// find finds what the request's path and its parameter "at" name.
func (a *API) find(c *call) (place, error) {
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return place{}, err
	}
	at := c.QueryParam("at")
	commit, err := r.commit(c.ctx(), at)
	if err != nil {
		return place{}, err
	}
	p := place{repositoryAt: r, commit: commit, path: strings.Trim(c.tail(), "/")}
	if p.TreeEntry, err = a.Contents.Entry(c.ctx(), r.Snapshot, commit, p.path); absent(err) {
		return place{}, domain.NotFound("path", "The path \"%s\" does not exist at revision \"%s\"", clip(p.path), clip(shownRevision(r, at)))
	}
	return p, err
}

func shownRevision(r repositoryAt, at string) string {
	if at == "" {
		return r.Head
	}
	return at
}

func (a *API) handleBrowse(c *call) error {
	w, err := c.window(maxLines)
	if err != nil {
		return err
	}
	if c.QueryParam("limit") == "" {
		w.Limit = defaultLines
	}
	onlySize, err := c.flag("size", false)
	if err != nil {
		return err
	}
	onlyType, err := c.flag("type", false)
	if err != nil {
		return err
	}
	p, err := a.find(c)
	if err != nil {
		return err
	}
	switch kind := nodeType(p.Mode); {
	case onlySize && kind == "FILE":
		size, err := a.Contents.Size(c.ctx(), p.Snapshot, p.TreeEntry.ID)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, map[string]int64{"size": size})
	case onlyType:
		return c.json(http.StatusOK, map[string]string{"type": kind})
	case kind == "FILE" && c.present("blame") && c.present("noContent"):
		return a.browseBlame(c, p, w)
	case kind == "FILE":
		return a.browseFile(c, p, w)
	case kind == "SUBMODULE":
		return c.json(http.StatusOK, restDirectoryRow{Path: newRestPath(p.path), ContentID: p.TreeEntry.ID.String(), Type: kind})
	}
	return a.browseDirectory(c, p, w)
}

func (a *API) browseDirectory(c *call, p place, w window) error {
	entries, err := a.Contents.Tree(c.ctx(), p.Snapshot, p.TreeEntry.ID)
	if err != nil {
		return err
	}
	w.Limit = min(w.Limit, maxLimit)
	entries, more := cut(w, entries)
	rows := make([]restDirectoryRow, len(entries))
	for i, e := range entries {
		row := restDirectoryRow{Path: newRestPath(e.Name), Type: nodeType(e.Mode)}
		switch row.Type {
		case "DIRECTORY":
			row.Node = e.ID.String()
		case "SUBMODULE":
			row.ContentID = e.ID.String()
		default:
			row.ContentID = e.ID.String()
			size, err := a.Contents.Size(c.ctx(), p.Snapshot, e.ID)
			if err != nil {
				return err
			}
			row.Size = &size
		}
		rows[i] = row
	}
	return c.json(http.StatusOK, restDirectory{
		Path: newRestPath(p.path), Revision: shownRevision(p.repositoryAt, c.QueryParam("at")), Children: pageOf(w, rows, more),
	})
}

// browseFile answers with a page of lines. The file is read no further than that,
// and never held as a whole.
func (a *API) browseFile(c *call, p place, w window) error {
	_, content, err := a.Contents.Blob(c.ctx(), p.Snapshot, p.TreeEntry.ID)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	reader := bufio.NewReaderSize(content, binaryDetected)
	beginning, err := reader.Peek(binaryDetected)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if browse.IsBinary(beginning) {
		return c.json(http.StatusOK, restBinary{Binary: true, Path: newRestPath(p.path)})
	}
	answer := restLines{Lines: []restLine{}, Start: w.Start, Limit: w.Limit, IsLastPage: true}
	for number := 0; ; number++ {
		line, ok, err := readLine(reader)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if number < w.Start {
			continue
		}
		if len(answer.Lines) == w.Limit {
			next := w.Start + w.Limit
			answer.IsLastPage, answer.NextPageStart = false, &next
			break
		}
		answer.Lines = append(answer.Lines, line)
	}
	answer.Size = len(answer.Lines)
	if c.present("blame") {
		if answer.Blame, err = a.blame(c, p, w); err != nil {
			return err
		}
	}
	return c.json(http.StatusOK, answer)
}

// readLine reads up to and with the next line feed; ok is false at the end.
func readLine(r *bufio.Reader) (line restLine, ok bool, err error) {
	var kept []byte
	for {
		part, err := r.ReadSlice('\n')
		ok = ok || len(part) > 0
		room := maxLineLength - len(kept)
		whole := len(bytes.TrimRight(part, "\r\n"))
		if whole > room {
			line.Truncated = true
		}
		kept = append(kept, part[:min(len(part), room)]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return restLine{}, false, err
		}
		line.Text = strings.ToValidUTF8(strings.TrimSuffix(strings.TrimSuffix(string(kept), "\n"), "\r"), "\uFFFD")
		return line, ok, nil
	}
}

// handleGetRaw never lets a browser run what somebody has pushed: text is plain, all
// else is downloaded.
func (a *API) handleGetRaw(c *call) error {
	p, err := a.find(c)
	if err != nil {
		return err
	}
	if nodeType(p.Mode) != "FILE" {
		return domain.NotFound("path", "The path \"%s\" is not a file.", clip(p.path))
	}
	header := c.Response().Header()
	tag := `"` + p.TreeEntry.ID.String() + `"`
	header.Set("ETag", tag)
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	for candidate := range strings.SplitSeq(c.Request().Header.Get("If-None-Match"), ",") {
		if candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/"); candidate == tag || candidate == "*" {
			return c.NoContent(http.StatusNotModified)
		}
	}
	size, content, err := a.Contents.Blob(c.ctx(), p.Snapshot, p.TreeEntry.ID)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	reader := bufio.NewReaderSize(content, binaryDetected)
	beginning, err := reader.Peek(binaryDetected)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	kind := "text/plain;charset=UTF-8"
	if browse.IsBinary(beginning) {
		kind = "application/octet-stream"
		header.Set("Content-Disposition", "attachment")
	}
	header.Set("Content-Length", strconv.FormatInt(size, 10))
	if c.Request().Method == http.MethodHead {
		header.Set("Content-Type", kind)
		return c.NoContent(http.StatusOK)
	}
	return c.Stream(http.StatusOK, kind, &partsReader{reader, http.NewResponseController(c.Response())})
}

// partsReader gives the client time anew with each part of a stream.
type partsReader struct {
	io.Reader
	control *http.ResponseController
}

func (r *partsReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	_ = r.control.SetWriteDeadline(time.Now().Add(requestTimeout))
	return n, err
}

func (a *API) handleListFiles(c *call) error {
	w, err := c.window(maxFiles)
	if err != nil {
		return err
	}
	p, err := a.find(c)
	if err != nil {
		return err
	}
	if !p.Mode.IsTree() {
		return domain.Invalid("path", "The path \"%s\" is not a directory.", clip(p.path))
	}
	list, more, err := a.Contents.Files(c.ctx(), p.Snapshot, p.TreeEntry.ID, w.Start, w.Limit)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }), more))
}
