package gitserver

import (
	"context"
	"fmt"

	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/admission"
	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// Engine is what answers Git's requests, whatever they come by.
type Engine struct {
	Store    *store.Store
	Upload   *uploadpack.Server
	Receive  *receivepack.Server
	Archives *archive.Archiver

	// Gate lets in the requests that make a pack or bring one; nil lets in all.
	Gate *admission.Gate
}

// Repository is a repository as one request sees it. Close it.
type Repository struct {
	Access   *Access
	Snapshot *gitfs.Snapshot
	Objects  *store.Objects
	Admit    func(context.Context) (leave func(), err error) // its turn; nil: it need not wait
}

// PastError refuses a push to a repository as it was.
type PastError struct{ Moment string }

func (e *PastError) Error() string {
	return fmt.Sprintf("This is the repository as it was at %s, which nobody can change. Push to it without the @ and what follows.", e.Moment)
}

// Pin gives the repository as it is, or as it was at a moment, and keeps its objects until it
// is closed. Whoever asks without a name queues by his address. Errors: *PastError, and those
// that Explain knows.
func (e *Engine) Pin(ctx context.Context, a *Access, moment, address string, write bool) (*Repository, error) {
	snapshot, err := snapshotAt(ctx, a, moment)
	if err == nil && write && moment != "" {
		err = &PastError{moment}
	}
	if err != nil {
		return nil, err
	}
	objects, err := e.Store.Objects(ctx, snapshot.Storage, snapshot.Packs)
	if err != nil {
		return nil, err
	}
	r := &Repository{Access: a, Snapshot: snapshot, Objects: objects}
	if e.Gate != nil {
		queue := "user " + a.User
		if a.User == "" {
			queue = "address " + address
		}
		r.Admit = func(ctx context.Context) (func(), error) { return e.Gate.Enter(ctx, queue) }
	}
	return r, nil
}

// Close lets go of the objects.
func (r *Repository) Close() { r.Objects.Release() }

func snapshotAt(ctx context.Context, a *Access, moment string) (*gitfs.Snapshot, error) {
	if moment == "" {
		return a.Snapshot(ctx)
	}
	a.RecentTips = nil // of now
	past := a.Past
	a.Past = nil // has been chosen
	return past(ctx, moment)
}

// ForUpload is the repository for a fetch.
func (r *Repository) ForUpload() *uploadpack.Repository {
	a := r.Access
	return &uploadpack.Repository{Snapshot: r.Snapshot, Objects: r.Objects, Hides: a.Hides, RecentTips: a.RecentTips, Past: a.Past, Admit: r.Admit}
}

// ForReceive is the repository for a push.
func (r *Repository) ForReceive() *receivepack.Repository {
	a := r.Access
	return &receivepack.Repository{
		Snapshot: r.Snapshot, Objects: r.Objects, RecentTips: a.RecentTips,
		Allow: a.Allow, Pusher: a.Pusher, Refused: a.Refused, Admit: r.Admit, Commit: a.Commit,
	}
}
