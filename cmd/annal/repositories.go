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
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/projections/refs"
)

// recently is for how long a client may ask for what a ref named before it moved.
const recently = 5 * time.Minute

// repositories opens repositories for Git requests: who asks, may he, and what a push
// of his does to the log. It implements smarthttp.Repositories.
type repositories struct {
	log       *eventstore.Log
	gate      *permission.Gate
	judge     permission.Judge
	refusals  *refusals
	snapshots snapshots
	pushed    func(id domain.RepositoryID, objects int64) // called after each push
}

// Open implements smarthttp.Repositories. For a caller who has been here before, one
// question to the log answers whether he still may and whether the refs have moved.
func (r repositories) Open(request *http.Request, project, slug string, write bool) (*smarthttp.Access, error) {
	need := access.RepoRead
	if write {
		need = access.RepoWrite
	}
	pass, snapshot, err := r.pass(request, project, slug, need)
	if err != nil {
		return nil, refusal(err)
	}
	opened := &smarthttp.Access{
		Snapshot: func(ctx context.Context) (*gitfs.Snapshot, error) {
			if snapshot != nil {
				return snapshot, nil
			}
			return r.snapshots.Snapshot(ctx, pass.Repository)
		},
		Past: func(ctx context.Context, moment string) (*gitfs.Snapshot, error) {
			return r.snapshots.At(ctx, pass.Repository, moment)
		},
		RecentTips: func(ctx context.Context) ([]git.ObjectID, error) {
			return r.snapshots.reader.RecentTips(ctx, pass.Repository, recently)
		},
	}
	if caller := pass.Caller; !caller.Anonymous() {
		opened.User, opened.UserID = caller.User.Name, strconv.FormatInt(int64(caller.User.ID), 10)
	}
	if write {
		meta := metadata(request, pass.Caller)
		opened.Pusher = func(ctx context.Context, demanded *rules.Effective) (rules.Pusher, error) {
			return r.judge.Pusher(ctx, pass.Caller, project, slug, demanded)
		}
		opened.Refused = func(ctx context.Context, refused []rules.Refusal) {
			r.refusals.Refused(ctx, pass.Repository, meta, refused)
		}
		opened.Commit = func(ctx context.Context, push repository.PushRefs) ([]git.RefResult, error) {
			results, err := refs.Push(ctx, r.log, pass.Repository, push, meta)
			objects := int64(0)
			if push.Pack != nil {
				objects = push.Pack.Objects
			}
			r.pushed(pass.Repository, objects)
			return results, err
		}
	}
	return opened, nil
}

// pass returns a remembered pass together with the snapshot that was read to see whether
// it holds, or else a new pass alone.
func (r repositories) pass(request *http.Request, project, slug string, need access.Permission) (*permission.Pass, *gitfs.Snapshot, error) {
	if pass := r.gate.Remembered(request, project, slug, need); pass != nil {
		snapshot, err := r.snapshots.Snapshot(request.Context(), pass.Repository)
		var missing *domain.NotFoundError
		switch {
		case err == nil && r.gate.Holds(pass):
			return pass, snapshot, nil
		case err != nil && !errors.As(err, &missing): // what is missing may be there under another number
			return nil, nil, err
		}
	}
	pass, err := r.gate.Judge(request, project, slug, need)
	return pass, nil, err
}

// refusal turns what the gate says into what smarthttp answers.
func refusal(err error) error {
	var refused *credentials.RefusedError
	var denied *permission.DeniedError
	switch {
	case errors.As(err, &refused), errors.As(err, &denied) && denied.Anonymous:
		return smarthttp.ErrUnauthenticated
	case errors.As(err, &denied):
		return smarthttp.ErrForbidden
	}
	return err
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
