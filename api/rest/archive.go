package rest

import (
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/archive"
)

func (a *API) archiveRoutes() []route {
	return []route{{
		method: http.MethodGet, path: repositoryPath + "/archive", summary: "Get the files of a commit as zip, tar, tar.gz or tgz",
		handle: a.handleGetArchive, query: []string{"at", "format", "filename", "path", "prefix"}, answer: []byte{}, streams: true,
	}}
}

var archiveTypes = map[archive.Format]string{archive.Zip: "application/octet-stream", archive.Tar: "application/x-tar", archive.TarGz: "application/octet-stream"}

func (a *API) handleGetArchive(c *call) error {
	name := c.QueryParam("format")
	if name == "" {
		name = "zip"
	}
	format, ok := archive.ParseFormat(strings.ToLower(name))
	if !ok {
		return domain.Invalid("format", "The format must be one of zip, tar, tar.gz or tgz.")
	}
	r, err := a.open(c, rights.RepoRead)
	if err != nil {
		return err
	}
	at := c.QueryParam("at")
	commit, err := r.commit(c.ctx(), at)
	if err != nil {
		return err
	}
	request := archive.Request{Commit: commit, Format: format, Prefix: c.QueryParam("prefix")}
	if request.Prefix != "" && !strings.HasSuffix(request.Prefix, "/") {
		request.Prefix += "/"
	}
	if strings.HasPrefix(request.Prefix, "/") || strings.Contains("/"+request.Prefix, "/../") {
		return domain.Invalid("prefix", "The prefix must be a folder below the one that the archive is unpacked in.")
	}
	for _, path := range c.QueryParams()["path"] {
		if path = strings.Trim(path, "/"); path != "" {
			request.Paths = append(request.Paths, path)
		}
	}
	prepared, err := a.Archives.Prepare(c.ctx(), r.Snapshot, request)
	if err != nil {
		return err
	}
	defer prepared.Close()
	filename := c.QueryParam("filename")
	if filename == "" {
		filename = archiveName(r, at, commit) + "." + strings.ToLower(name)
	}
	header := c.Response().Header()
	header.Set("Content-Disposition", attachment(filename))
	header.Set("Content-Type", archiveTypes[format])
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if c.Request().Method == http.MethodHead {
		return c.NoContent(http.StatusOK)
	}
	c.Response().WriteHeader(http.StatusOK)
	if err := prepared.Write(c.ctx(), &partsWriter{c.Response(), http.NewResponseController(c.Response())}); err != nil {
		a.Logger.WarnContext(c.ctx(), "archive broken off", "request", header.Get(headerRequestID), "error", err)
		panic(http.ErrAbortHandler) // an archive that is cut off must not look whole
	}
	return nil
}

// archiveName is the name that Bitbucket gives an archive, without the format.
func archiveName(r repositoryAt, at string, commit git.ObjectID) string {
	short := git.ShortName(at)
	switch _, isID := git.ParseObjectID(strings.ToLower(at)); {
	case at == "" || at == "HEAD":
		short = git.ShortName(r.Head)
	case isID == nil:
		return r.Slug + "-" + at
	default:
		if _, err := r.ref(at); err != nil { // the beginning of an id
			return r.Slug + "-" + at
		}
	}
	return r.Slug + "-" + strings.ReplaceAll(short, "/", "-") + "@" + commit.Abbrev()
}

// attachment names a download. Browsers must not take the name for a path, nor the answer
// for a page.
func attachment(filename string) string {
	filename = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '/' || r == '\\' {
			return '-'
		}
		return r
	}, filename)
	value := mime.FormatMediaType("attachment", map[string]string{"filename": clip(filename)})
	if value == "" {
		return "attachment"
	}
	return value
}

// partsWriter gives the client time anew with each part of a stream.
type partsWriter struct {
	io.Writer
	control *http.ResponseController
}

func (w *partsWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(requestTimeout))
	return w.Writer.Write(b)
}
