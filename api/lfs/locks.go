package lfs

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	domainlfs "github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/eventstore"
	index "github.com/annal-git/annal/projections/lfs"
)

// A lock holds in the whole repository, as Bitbucket's do: the ref that clients name with it
// is read over.

type restLock struct {
	ID       string    `json:"id"`
	Path     string    `json:"path"`
	LockedAt string    `json:"locked_at"`
	Owner    restOwner `json:"owner"`
}

type restOwner struct {
	Name string `json:"name"`
}

func newRestLock(l index.Lock) restLock {
	return restLock{strconv.FormatInt(int64(l.ID), 10), l.Path, l.At.UTC().Format(time.RFC3339), restOwner{l.OwnerName}}
}

type lockAnswer struct {
	Lock    restLock `json:"lock"`
	Message string   `json:"message,omitempty"`
}

func (h *Handler) handleLock(v *visit) error {
	var request struct {
		Path string `json:"path"`
	}
	if err := v.decode(&request); err != nil {
		return err
	}
	others, err := h.Index.CountLocks(v.ctx(), v.Pass.Repository)
	if err != nil {
		return err
	}
	id, err := h.Log.NextID(v.ctx(), "lfs_lock")
	if err != nil {
		return err
	}
	event, err := domainlfs.Take(domainlfs.Lock{ID: domainlfs.LockID(id), Repository: v.Pass.Repository, Path: request.Path, Owner: v.Caller.User.ID}, others)
	if err != nil {
		return err
	}
	status, message, filter := http.StatusCreated, "", index.LockFilter{ID: event.ID, Limit: 1}
	err = h.append(v, event)
	var conflict *domain.ConflictError
	switch {
	case errors.As(err, &conflict):
		status, message, filter = http.StatusConflict, conflict.Message, index.LockFilter{Path: request.Path, Limit: 1}
	case err != nil:
		return err
	}
	locks, err := h.Index.Locks(v.ctx(), v.Pass.Repository, filter)
	if err != nil {
		return err
	}
	if len(locks) == 0 {
		return refuse(http.StatusConflict, "The lock has been released meanwhile. Try again.")
	}
	return v.answer(status, lockAnswer{newRestLock(locks[0]), message})
}

func (h *Handler) append(v *visit, event domain.Event) error {
	_, err := h.Log.Append(v.ctx(), eventstore.Proposal{
		Stream: domainlfs.Stream(v.Pass.Repository), Expect: eventstore.Any, Meta: v.meta(), Events: []domain.Event{event},
	})
	return err
}

var errNoLock = refuse(http.StatusNotFound, "The repository has no such lock.")

func (h *Handler) handleUnlock(v *visit) error {
	var request struct {
		Force bool `json:"force"`
	}
	if err := v.decode(&request); err != nil {
		return err
	}
	id, ok := lockID(v.Param("id"))
	if !ok {
		return errNoLock
	}
	locks, err := h.Index.Locks(v.ctx(), v.Pass.Repository, index.LockFilter{ID: id, Limit: 1})
	if err != nil {
		return err
	}
	if len(locks) == 0 {
		return errNoLock
	}
	administers := false
	if request.Force && locks[0].Owner != v.Caller.User.ID {
		_, err := h.pass(v.ctx(), v.asker, v.name, rights.RepoAdmin)
		if err = gitserver.Refused(err); err != nil && ours(err) {
			return err
		}
		administers = err == nil
	}
	event, err := locks[0].Release(v.Caller.User.ID, request.Force, administers)
	if err != nil {
		return err
	}
	err = h.append(v, event)
	var conflict *domain.ConflictError
	if errors.As(err, &conflict) {
		return errNoLock
	}
	if err != nil {
		return err
	}
	return v.answer(http.StatusOK, lockAnswer{Lock: newRestLock(locks[0])})
}

func lockID(text string) (domainlfs.LockID, bool) {
	id, err := strconv.ParseInt(text, 10, 64)
	return domainlfs.LockID(id), err == nil && id > 0
}

// maxLocks is how many locks are in one answer.
const maxLocks = 100

// window reads which part of a list is wanted: what is behind a cursor, which is the number
// of a lock.
func window(cursor string, limit int) (f index.LockFilter, err error) {
	if cursor != "" {
		var ok bool
		if f.After, ok = lockID(cursor); !ok {
			return f, domain.Invalid("cursor", "The cursor is none that was given.")
		}
	}
	if limit < 0 {
		return f, domain.Invalid("limit", "The limit must be a number from 1 on.")
	}
	if f.Limit = maxLocks; limit > 0 {
		f.Limit = min(limit, maxLocks)
	}
	return f, nil
}

// page lists locks, and says what to ask for next.
func (h *Handler) page(v *visit, f index.LockFilter) (locks []index.Lock, next string, err error) {
	limit := f.Limit
	f.Limit++
	locks, err = h.Index.Locks(v.ctx(), v.Pass.Repository, f)
	if len(locks) > limit {
		locks = locks[:limit]
		next = fmt.Sprint(locks[limit-1].ID)
	}
	return locks, next, err
}

func (h *Handler) handleListLocks(v *visit) error {
	limit := 0
	if text := v.QueryParam("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil {
			return domain.Invalid("limit", "The limit must be a number from 1 on.")
		}
	}
	f, err := window(v.QueryParam("cursor"), limit)
	if err != nil {
		return err
	}
	f.Path = v.QueryParam("path")
	if err := domain.CheckText("path", f.Path, domainlfs.MaxPath, false); err != nil {
		return err
	}
	answer := struct {
		Locks []restLock `json:"locks"`
		Next  string     `json:"next_cursor,omitempty"`
	}{Locks: []restLock{}}
	if text := v.QueryParam("id"); text != "" {
		var ok bool
		if f.ID, ok = lockID(text); !ok {
			return v.answer(http.StatusOK, answer)
		}
	}
	locks, next, err := h.page(v, f)
	if err != nil {
		return err
	}
	answer.Next = next
	for _, l := range locks {
		answer.Locks = append(answer.Locks, newRestLock(l))
	}
	return v.answer(http.StatusOK, answer)
}

// handleVerifyLocks tells a client before a push which paths are whose.
func (h *Handler) handleVerifyLocks(v *visit) error {
	var request struct {
		Cursor string `json:"cursor"`
		Limit  int    `json:"limit"`
	}
	if err := v.decode(&request); err != nil {
		return err
	}
	f, err := window(request.Cursor, request.Limit)
	if err != nil {
		return err
	}
	locks, next, err := h.page(v, f)
	if err != nil {
		return err
	}
	answer := struct {
		Ours   []restLock `json:"ours"`
		Theirs []restLock `json:"theirs"`
		Next   string     `json:"next_cursor,omitempty"`
	}{Ours: []restLock{}, Theirs: []restLock{}, Next: next}
	for _, l := range locks {
		if l.Owner == v.Caller.User.ID {
			answer.Ours = append(answer.Ours, newRestLock(l))
		} else {
			answer.Theirs = append(answer.Theirs, newRestLock(l))
		}
	}
	return v.answer(http.StatusOK, answer)
}
