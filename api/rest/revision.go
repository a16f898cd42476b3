package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/projections/catalog"
)

// repositoryAt is a repository and its contents as one request sees them: all its
// questions are answered from one snapshot.
type repositoryAt struct {
	catalog.Repository
	*gitfs.Snapshot
	contents *browse.Browser
}

// open finds the repository that the path names, for a caller who needs a permission
// on it, with its refs as they are now.
func (a *API) open(c *call, need rights.Permission) (repositoryAt, error) {
	r, err := a.repository(c, need)
	if err != nil {
		return repositoryAt{}, err
	}
	snapshot, err := a.Snapshots.Snapshot(c.ctx(), r.ID)
	if err != nil {
		return repositoryAt{}, err
	}
	return repositoryAt{Repository: r, Snapshot: snapshot, contents: a.Contents}, nil
}

// commit finds the commit that a revision names: a full or short ref name, a commit's
// or tag's id or the beginning of one. "" is the default branch.
func (r repositoryAt) commit(ctx context.Context, revision string) (git.ObjectID, error) {
	if revision == "" || revision == "HEAD" {
		head, ok := r.Refs.Get(r.Head)
		if !ok {
			return git.ZeroID, &exceptionError{
				status: http.StatusNotFound, exception: exceptionNoDefaultBranch,
				message: "Repository " + r.Slug + " has no default branch: " + git.ShortName(r.Head) + " does not exist.",
			}
		}
		return head.ID, nil
	}
	id, err := r.object(ctx, revision)
	if err != nil {
		return git.ZeroID, r.noCommit(revision, err)
	}
	id, err = r.contents.Peel(ctx, r.Snapshot, id)
	return id, r.noCommit(revision, err)
}

func (r repositoryAt) object(ctx context.Context, revision string) (git.ObjectID, error) {
	if ref, err := r.ref(revision); err == nil {
		return ref.ID, nil
	}
	return r.contents.Find(ctx, r.Snapshot, strings.ToLower(revision))
}

// ref finds a ref by its full or short name.
func (r repositoryAt) ref(name string) (git.Ref, error) {
	for _, prefix := range []string{"", "refs/heads/", "refs/tags/"} {
		if ref, ok := r.Refs.Get(prefix + name); ok {
			return ref, nil
		}
	}
	return git.Ref{}, domain.NotFound("branch", "There is no ref of the name '%s'.", clip(name))
}

// noCommit says of a commit that is missing what the caller had asked for.
func (r repositoryAt) noCommit(revision string, err error) error {
	if missing := (*domain.NotFoundError)(nil); errors.As(err, &missing) && missing.What == "commit" {
		return domain.NotFound("commit", "Commit '%s' does not exist in repository '%s'.", clip(revision), r.Slug)
	}
	return err
}

func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// absent reports whether err says that something does not exist.
func absent(err error) bool {
	var missing *domain.NotFoundError
	return errors.As(err, &missing)
}
