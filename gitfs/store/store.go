package store

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annal-git/annal/domain/git"
)

// Store is the objects of all repositories, as one process sees them. Its methods
// may be called at the same time.
type Store struct {
	config  Config
	files   Files
	blocks  *blockCache
	bases   *baseCache
	reads   chan struct{} // holds a token for each use of the shared home under way
	workers chan struct{} // holds a token for each worker that resolves deltas

	mu      sync.Mutex
	packs   map[packKey]*Pack
	idle    *list.List // of *Pack that nobody has pinned, longest idle first
	open    *list.List // of those whose file is open, longest idle first
	indexes int64      // what the indexes of idle packs cost, in bytes
	lastKey uint64
	closed  bool
}

// packKey tells packs apart. The storage is part of it, because a pack's id is a
// SHA-1 that strangers have a say in.
type packKey struct {
	storage string
	id      git.ObjectID
}

var errClosed = errors.New("store: closed")

// Open opens a store and removes what an earlier process left in the quarantine
// of this local home.
func Open(config Config) (*Store, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	quarantine := filepath.Join(config.LocalHome, localQuarantine)
	if err := os.RemoveAll(quarantine); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(quarantine, 0o700); err != nil {
		return nil, err
	}
	return &Store{
		config:  config,
		files:   config.Files,
		blocks:  newBlockCache(config.BlockCacheBytes),
		bases:   newBaseCache(config.BaseCacheBytes),
		reads:   make(chan struct{}, config.SharedUses),
		workers: make(chan struct{}, config.Workers),
		packs:   map[packKey]*Pack{},
		idle:    list.New(),
		open:    list.New(),
	}, nil
}

// Close closes what nobody has pinned. Packs still pinned are closed by the
// Release of their last user.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.closeIdle(0, 0)
}

// Objects pins the given packs of a repository, all of which are on the shared
// home: in its own folder, or in that which a pack names. The caller must call Release. Errors: *UnavailableError, *CorruptPackError.
func (s *Store) Objects(ctx context.Context, storage string, packs []git.Pack) (*Objects, error) {
	if err := checkStorage(storage); err != nil {
		return nil, err
	}
	for _, p := range packs {
		if p.Storage != "" {
			if err := checkStorage(p.Storage); err != nil {
				return nil, err
			}
		}
	}
	o := &Objects{store: s, packs: make([]*Pack, len(packs))}
	if s.pinOpen(storage, packs, o.packs) {
		return o, nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, info := range packs {
		if o.packs[i] != nil {
			continue
		}
		group.Go(func() (err error) {
			o.packs[i], err = s.pin(ctx, cmp.Or(info.Storage, storage), info)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		o.Release()
		return nil, err
	}
	return o, nil
}

// pinOpen pins those of the packs that are open, and reports whether all are.
func (s *Store) pinOpen(storage string, packs []git.Pack, pinned []*Pack) (all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = !s.closed
	for i, info := range packs {
		p := s.packs[packKey{cmp.Or(info.Storage, storage), info.ID}]
		if p == nil || s.closed || !p.isOpen() {
			all = false
			continue
		}
		s.use(p)
		pinned[i] = p
	}
	return all
}

// use counts one more user of a pack. s.mu must be held.
func (s *Store) use(p *Pack) {
	p.pins++
	s.notIdle(p)
}

// rest puts a pack that nobody uses any more among the idle. s.mu must be held.
func (s *Store) rest(p *Pack) {
	p.idle = s.idle.PushBack(p)
	s.indexes += p.indexCost()
	if p.hasFiles() {
		p.idleFile = s.open.PushBack(p)
	}
	files, bytes := s.config.IdleFiles, s.config.IdleIndexBytes
	if s.closed {
		files, bytes = 0, 0
	}
	_ = s.closeIdle(files, bytes) // files that were only read
}

// notIdle takes a pack out of the idle, if it is one of them. s.mu must be held.
func (s *Store) notIdle(p *Pack) {
	if p.idle != nil {
		s.idle.Remove(p.idle)
		s.indexes -= p.indexCost()
		p.idle = nil
	}
	if p.idleFile != nil {
		s.open.Remove(p.idleFile)
		p.idleFile = nil
	}
}

// adopt makes a pack known that is open already: as if somebody had just used it.
func (s *Store) adopt(p *Pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.packs[p.mapKey()] != nil {
		return
	}
	s.packs[p.mapKey()] = p
	s.rest(p)
}

// pin returns an open pack that stays open until unpin.
func (s *Store) pin(ctx context.Context, storage string, info git.Pack) (*Pack, error) {
	key := packKey{storage, info.ID}
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, errClosed
		}
		p := s.packs[key]
		first := p == nil
		if first {
			s.lastKey++
			p = newSharedPack(s, s.lastKey, storage, info)
			s.packs[key] = p
		}
		s.use(p)
		s.mu.Unlock()

		if first {
			err := p.open(ctx)
			s.mu.Lock()
			p.openErr = err
			s.mu.Unlock()
			close(p.opened)
		} else {
			select {
			case <-p.opened:
			case <-ctx.Done():
				s.unpin(p)
				return nil, context.Cause(ctx)
			}
		}
		if p.openErr == nil {
			return p, nil
		}
		err := p.openErr
		s.unpin(p)
		// The one who opened may have been cancelled; that is not our error.
		if isCancelled(err) && ctx.Err() == nil {
			continue
		}
		return nil, err
	}
}

func (s *Store) unpin(p *Pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.pins--
	if p.openErr != nil && s.packs[p.mapKey()] == p {
		delete(s.packs, p.mapKey()) // the next user tries again
	}
	if p.pins > 0 {
		return
	}
	if p.openErr != nil {
		_ = p.close() // nothing was written
		return
	}
	s.rest(p)
}

// closeIdle closes files of packs that nobody has pinned until at most so many are open,
// and whole packs until their indexes cost at most so many bytes. s.mu must be held.
func (s *Store) closeIdle(files int, bytes int64) error {
	var errs []error
	for s.open.Len() > files {
		p := s.open.Remove(s.open.Front()).(*Pack)
		p.idleFile = nil
		errs = append(errs, p.closeFiles())
	}
	for s.indexes > bytes {
		p := s.idle.Front().Value.(*Pack)
		s.notIdle(p)
		delete(s.packs, p.mapKey())
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// newKey names a pack in caches.
func (s *Store) newKey() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastKey++
	return s.lastKey
}

// useShared waits for its turn to use the shared home, so that a slow server
// does not take all threads of the process.
func (s *Store) useShared(ctx context.Context, use func() error) error {
	select {
	case s.reads <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.reads }()
	return use()
}
