package lfs

import (
	"context"
	"net/url"
	"time"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/permission"
	rights "github.com/annal-git/annal/domain/access"
)

// Authentication is what git-lfs-authenticate prints.
type Authentication struct {
	Href      string            `json:"href"`
	Header    map[string]string `json:"header"`
	ExpiresIn int               `json:"expires_in"` // seconds
	ExpiresAt string            `json:"expires_at"`
}

// Authenticate gives somebody who asks over SSH what his client needs to go on over HTTP:
// the address, and a grant for one repository and operation, "download" or "upload".
// known is false for another operation. The user's name is for the log. Errors are those of
// package gitserver and *domain.NotFoundError.
func (h *Handler) Authenticate(ctx context.Context, asker permission.Asker, name gitserver.Name, wanted string) (a Authentication, user string, known bool, err error) {
	need := rights.RepoRead
	switch operation(wanted) {
	case download:
	case upload:
		need = rights.RepoWrite
	default:
		return a, "", false, nil
	}
	pass, err := h.pass(ctx, asker, name, need)
	if err != nil {
		return a, "", true, gitserver.Refused(err)
	}
	holder, err := h.Credentials.Resumption(ctx, pass.Caller)
	if err != nil {
		return a, "", true, err
	}
	ends := h.ends(pass.Caller.Until)
	return Authentication{
		Href: h.endpoint(name), ExpiresIn: h.seconds(ends), ExpiresAt: ends.UTC().Format(time.RFC3339),
		Header: h.header(grant{Repository: pass.Repository, Operation: operation(wanted), Holder: holder, Ends: ends.Unix()}),
	}, pass.Caller.User.Name, true, nil
}

// endpoint is where the API of a repository is.
func (h *Handler) endpoint(name gitserver.Name) string {
	repo := name.Repo
	if name.Moment != "" {
		repo += "@" + name.Moment
	}
	return h.BaseURL + "/scm/" + url.PathEscape(name.Project) + "/" + url.PathEscape(repo) + ".git/info/lfs"
}
