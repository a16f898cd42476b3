package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/api/site"
	"github.com/annal-git/annal/api/ssh"
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
// of his does to the log.
type repositories struct {
	log       *eventstore.Log
	gate      *permission.Gate
	judge     permission.Judge
	refusals  *refusals
	tokens    *tokenUses
	snapshots snapshots
	rates     *ratelimit.Limiter
	pushed    func(id domain.RepositoryID, objects int64) // called after each push
}

// origin is where a request comes from.
type origin struct{ address, requestID string }

// overHTTP opens them for requests over HTTP. It implements smarthttp.Repositories.
type overHTTP struct {
	repositories
	credentials *credentials.Authenticator
}

// Open implements smarthttp.Repositories. The frame around all requests has given it an id.
func (r overHTTP) Open(request *http.Request, project, slug string, write bool) (*gitserver.Access, error) {
	address, _, err := net.SplitHostPort(request.RemoteAddr)
	if err != nil {
		address = request.RemoteAddr
	}
	var caller credentials.Caller
	asker := permission.Asker{Kind: "http", Proof: request.Header.Get("Authorization"), Find: func(context.Context) (credentials.Caller, error) {
		var err error
		caller, err = r.credentials.Authenticate(request)
		return caller, err
	}}
	opened, err := r.open(request.Context(), asker, origin{address, request.Header.Get("X-Request-Id")}, project, slug, write)
	if err != nil && !caller.Anonymous() {
		err = &gitserver.RefusedUserError{User: caller.User.Name, UserID: strconv.FormatInt(int64(caller.User.ID), 10), Err: err}
	}
	return opened, err
}

// overSSH opens them for requests over SSH. It implements ssh.Repositories.
type overSSH struct {
	repositories
	credentials *credentials.Authenticator
}

// Open implements ssh.Repositories: whose key it is is asked anew for each request.
func (r overSSH) Open(ctx context.Context, from ssh.Origin, project, slug string, write bool) (*gitserver.Access, error) {
	ctx = site.WithOrigin(ctx, site.Origin{Address: from.Address, RequestID: from.RequestID})
	return r.open(ctx, sshAsker(from.Key, r.credentials), origin{from.Address, from.RequestID}, project, slug, write)
}

// sshAsker is whoever holds a key.
func sshAsker(key []byte, who *credentials.Authenticator) permission.Asker {
	return permission.Asker{Kind: "ssh", Proof: string(key), Find: func(ctx context.Context) (credentials.Caller, error) {
		caller, _, err := who.SSHKey(ctx, key)
		return caller, err
	}}
}

// open finds a repository. For a caller who has been here before, one question to the log
// answers whether he still may and whether the refs have moved.
func (r repositories) open(ctx context.Context, asker permission.Asker, from origin, project, slug string, write bool) (*gitserver.Access, error) {
	asker.Admit = r.rates.Once(from.address)
	need := access.RepoRead
	if write {
		need = access.RepoWrite
	}
	pass, snapshot, err := r.pass(ctx, asker, project, slug, need)
	if err != nil {
		return nil, gitserver.Refused(err)
	}
	opened := &gitserver.Access{
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
		meta := domain.Metadata{
			Actor: pass.Caller.User.ID, Auth: pass.Caller.Auth, Address: from.address, RequestID: from.requestID, Correlation: from.requestID,
		}
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
func (r repositories) pass(ctx context.Context, asker permission.Asker, project, slug string, need access.Permission) (*permission.Pass, *gitfs.Snapshot, error) {
	if pass := r.gate.Remembered(asker, project, slug, need); pass != nil {
		if err := asker.Admitted(pass.Caller); err != nil {
			return nil, nil, err
		}
		snapshot, err := r.snapshots.Snapshot(ctx, pass.Repository)
		var missing *domain.NotFoundError
		switch {
		case err == nil && r.gate.Holds(pass):
			r.tokens.usedBy(ctx, pass.Caller.Auth)
			return pass, snapshot, nil
		case err != nil && !errors.As(err, &missing): // what is missing may be there under another number
			return nil, nil, err
		}
	}
	pass, err := r.gate.Judge(ctx, asker, project, slug, need)
	return pass, nil, err
}
