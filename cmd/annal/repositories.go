package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/smarthttp"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/projections/refs"
)

// recently is for how long a client may ask for what a ref named before it moved.
const recently = 5 * time.Minute

// repositories opens repositories for Git requests: who asks, may he, and what a push
// of his does to the log. It implements smarthttp.Repositories.
type repositories struct {
	log         *eventstore.Log
	credentials *credentials.Authenticator
	judge       permission.Judge
	snapshots   snapshots
}

// Open implements smarthttp.Repositories.
func (r repositories) Open(request *http.Request, project, slug string, write bool) (*smarthttp.Access, error) {
	caller, err := r.credentials.Authenticate(request)
	var refused *credentials.RefusedError
	if errors.As(err, &refused) {
		return nil, smarthttp.ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	need := access.RepoRead
	if write {
		need = access.RepoWrite
	}
	found, err := r.judge.Repository(request.Context(), caller, project, slug, need)
	var denied *permission.DeniedError
	if errors.As(err, &denied) {
		if denied.Anonymous {
			return nil, smarthttp.ErrUnauthenticated
		}
		return nil, smarthttp.ErrForbidden
	}
	if err != nil {
		return nil, err
	}
	opened := &smarthttp.Access{
		Snapshot: func(ctx context.Context) (*gitfs.Snapshot, error) { return r.snapshots.Snapshot(ctx, found.ID) },
		Past: func(ctx context.Context, moment string) (*gitfs.Snapshot, error) {
			return r.snapshots.At(ctx, found.ID, moment)
		},
		RecentTips: func(ctx context.Context) ([]git.ObjectID, error) {
			return r.snapshots.reader.RecentTips(ctx, found.ID, recently)
		},
	}
	if !caller.Anonymous() {
		opened.User, opened.UserID = caller.User.Name, strconv.FormatInt(int64(caller.User.ID), 10)
	}
	if write {
		meta := metadata(request, caller)
		opened.Commit = func(ctx context.Context, push repository.PushRefs) ([]git.RefResult, error) {
			return refs.Push(ctx, r.log, found.ID, push, meta)
		}
	}
	return opened, nil
}

// metadata says who sends a request. The frame around all requests has given it an id.
func metadata(request *http.Request, caller credentials.Caller) domain.Metadata {
	address, _, err := net.SplitHostPort(request.RemoteAddr)
	if err != nil {
		address = request.RemoteAddr
	}
	id := request.Header.Get("X-Request-Id")
	return domain.Metadata{Actor: caller.User.ID, Auth: caller.Auth, Address: address, RequestID: id, Correlation: id}
}
