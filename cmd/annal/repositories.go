package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/smarthttp"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
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
		RecentTips: func(ctx context.Context) ([]git.ObjectID, error) {
			return r.snapshots.reader.RecentTips(ctx, found.ID, recently)
		},
	}
	if write {
		p := pusher{log: r.log, repository: found.ID, meta: metadata(request, caller)}
		opened.Commit = p.commit
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

// pusher appends one push.
type pusher struct {
	log        *eventstore.Log
	repository domain.RepositoryID
	meta       domain.Metadata
}

// commit gives the push an id: if the database is lost while committing, the log
// finds out by it whether the push happened, and does not do it twice.
func (p pusher) commit(ctx context.Context, push repository.PushRefs) ([]git.RefResult, error) {
	appended, err := p.log.Append(ctx, eventstore.Proposal{
		ID: uuid.Must(uuid.NewV7()).String(), Stream: domain.RepositoryStream(p.repository), Expect: eventstore.Any, Claim: push, Meta: p.meta,
	})
	if err != nil {
		return nil, err
	}
	if appended.Repeated {
		return repeatedResults(push, appended.Events), nil
	}
	results, ok := appended.Outcome.([]git.RefResult)
	if !ok {
		return nil, fmt.Errorf("a push came back as %T", appended.Outcome)
	}
	return results, nil
}

// repeatedResults answers a push whose commit was found in the log after the answer to
// it was lost: the refs in its event moved, and the others did not.
func repeatedResults(push repository.PushRefs, events []domain.Recorded) []git.RefResult {
	moved := map[git.RefUpdate]bool{}
	for _, e := range events {
		event, _ := e.Event.(repository.RefsUpdated) // the first push also sets the default branch
		for _, u := range event.Updates {
			moved[git.RefUpdate{Name: u.Name, Old: u.Old, New: u.New}] = true
		}
	}
	results := make([]git.RefResult, len(push.Updates))
	for i, u := range push.Updates {
		results[i].Name = u.Name
		if !moved[git.RefUpdate{Name: u.Name, Old: u.Old, New: u.New}] {
			results[i].Reason = "refused; the reason was lost with the connection to the database"
		}
	}
	return results
}
