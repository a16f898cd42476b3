package store

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// Quarantine is a pack that was received and checked, but that is in no repository
// yet. Its user calls Discard when done with it, whether it was published or not.
type Quarantine struct {
	store     *Store
	storage   string
	base      *Objects
	scratch   *scratch
	spool     spool // the pack
	idx       spool
	rev       spool
	info      git.Pack
	pack      *Pack
	view      *Objects
	types     []object.Type // of the objects by position; 0 if the repository had it
	discarded bool
}

func (s *Store) newQuarantine(storage string, base *Objects) *Quarantine {
	q := &Quarantine{store: s, storage: storage, base: base, scratch: s.newScratch()}
	q.spool.scratch, q.idx.scratch, q.rev.scratch = q.scratch, q.scratch, q.scratch
	q.setView()
	return q
}

// setView puts the pack, if there is one, before the packs of the repository.
func (q *Quarantine) setView() {
	q.view = &Objects{store: q.store}
	q.view.released.Store(true) // the packs belong to base and to q
	if q.pack != nil {
		q.view.packs = append(q.view.packs, q.pack)
	}
	if q.base != nil {
		q.view.packs = append(q.view.packs, q.base.packs...)
		q.view.only = q.only()
	}
}

// only is what the base lets be found, and what came with the push; nil for everything.
func (q *Quarantine) only() func(git.ObjectID) bool {
	visible := q.base.only
	if visible == nil || q.pack == nil {
		return visible
	}
	index := q.pack.index
	return func(id git.ObjectID) bool {
		_, came := index.Find(id)
		return came || visible(id)
	}
}

// Pack describes the pack as it will be on the shared home. It is zero if there
// were no objects.
func (q *Quarantine) Pack() git.Pack { return q.info }

// View is the repository as it will be with the pack. It is good until Discard,
// and for as long as the base of the quarantine is pinned.
func (q *Quarantine) View() *Objects { return q.view }

// New yields the objects that came with the push, in the order of their ids. Some
// of them the repository may have had before.
func (q *Quarantine) New() iter.Seq2[git.ObjectID, object.Type] {
	return func(yield func(git.ObjectID, object.Type) bool) {
		for pos, typ := range q.types {
			if typ != 0 && !yield(q.pack.index.ID(pos), typ) {
				return
			}
		}
	}
}

// index writes the indexes and makes the pack readable. inflated is the size of all objects
// that came with the push.
func (q *Quarantine) index(t *table, id git.ObjectID, inflated int64) error {
	order := make([]int32, len(t.entries))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return slices.Compare(t.entries[a].id[:], t.entries[b].id[:]) })
	entries := make([]pack.IndexEntry, len(order))
	q.types = make([]object.Type, len(order))
	for pos, i := range order {
		e := &t.entries[i]
		entries[pos] = pack.IndexEntry{ID: e.id, CRC: e.crc, Offset: e.offset}
		q.types[pos] = e.typ
	}
	if err := pack.WriteIndex(&q.idx, entries, id); err != nil {
		return err
	}
	idx, err := q.idx.bytes()
	if err != nil {
		return err
	}
	var rev []byte
	if len(entries) >= reverseFrom {
		if err := pack.WriteReverse(&q.rev, entries, id); err != nil {
			return err
		}
		if rev, err = q.rev.bytes(); err != nil {
			return err
		}
	}
	index, err := pack.ParseIndex(idx, rev)
	if err != nil {
		return err
	}
	q.info = git.Pack{ID: id, Objects: int64(len(entries)), Bytes: q.spool.size}
	q.pack = &Pack{store: q.store, key: q.store.newKey(), storage: q.storage, info: q.info, index: index}
	q.pack.small = q.spool.size <= smallPack && inflated+t.streams() <= smallObjects
	q.pack.openFile = func(context.Context) (File, error) { return spoolFile{&q.spool}, nil }
	q.setView()
	return nil
}

// spoolFile reads a spool that somebody else closes.
type spoolFile struct{ *spool }

func (spoolFile) Close() error { return nil }

// keep leaves the published pack with the node, where its first reader finds it: a small
// one in memory, as the next push will ask for what this one brought, and the indexes of
// a large one in the local home. If that fails, the reader gets them from the shared home.
func (q *Quarantine) keep() {
	s := q.store
	if q.idx.file == nil && q.rev.file == nil {
		p := newSharedPack(s, s.newKey(), q.storage, q.info)
		p.index, p.small = q.pack.index, q.pack.small
		close(p.opened)
		if q.spool.size <= blockSize && q.spool.file == nil {
			s.blocks.put(blockKey{p.key, 0}, slices.Clone(q.spool.memory))
		}
		s.adopt(p)
		return
	}
	dir := filepath.Join(s.config.LocalHome, localIndexes, q.storage)
	if os.MkdirAll(dir, 0o777) != nil {
		return
	}
	for suffix, spool := range map[string]*spool{"idx": &q.idx, "rev": &q.rev} {
		if content, err := spool.bytes(); err == nil && len(content) > 0 {
			_ = writeLocal(dir, packFile(q.info.ID, suffix), content)
		}
	}
}

// Discard forgets the quarantine and removes its files. What was published stays.
// A second call does nothing.
func (q *Quarantine) Discard() error {
	if q.discarded {
		return nil
	}
	q.discarded = true
	if q.pack != nil {
		q.store.blocks.drop(q.pack.key)
	}
	return errors.Join(q.spool.Close(), q.idx.Close(), q.rev.Close(), q.scratch.remove())
}
