package packcache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// entry is a pack in packets of side-band-64k, whole or growing.
type entry struct {
	key              Key
	storage          string
	max              int64
	temporary, final string

	place, ofStorage *list.Element      // guarded by the cache's lock
	path             string             // where the whole file lies; "" in memory. Set before place is
	cancel           context.CancelFunc // ends the maker; set before anybody else sees the entry

	leftover bool // by an earlier process
	checking sync.Once

	mu        sync.Mutex
	moved     chan struct{} // closed and replaced whenever what is below changes
	memory    []byte        // while it is short
	file      *os.File      // once it is not; closed with the last user
	size      int64         // bytes that can be read
	objects   int           // -1 until they are counted
	done      bool
	err       error
	users     int
	abandoned bool // nobody waits for it any more, so its maker stops
	dropped   bool // the cache does not know it any more
}

// leftover is an entry in a file that an earlier process has left.
func (c *Cache) leftover(key Key, storage, path string, size int64) *entry {
	return &entry{key: key, storage: storage, final: path, path: path, moved: make(chan struct{}), size: size, objects: -1, done: true, leftover: true}
}

// enter adds a user. It fails if there is no entry to use any more.
func (e *entry) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil || e.dropped || e.abandoned {
		return false
	}
	e.users++
	return true
}

// leave ends a use. Without users, nothing is made.
func (e *entry) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.users--
	if e.users > 0 {
		return
	}
	if !e.done && e.err == nil {
		e.abandoned = true
		e.cancel()
	}
	e.closeFile()
}

// drop is called when the cache forgets the entry.
func (e *entry) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped = true
	e.closeFile()
}

// closeFile closes the file when nobody will use it; the lock is held.
func (e *entry) closeFile() {
	if e.file != nil && e.users == 0 && (e.done || e.err != nil) {
		_ = e.file.Close() // it was only read since it was whole
		e.file = nil
	}
}

// counted notes how many objects the pack has.
func (e *entry) counted(objects int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.objects = objects
	e.wake()
}

// wake tells those who wait to look again; the lock is held.
func (e *entry) wake() {
	close(e.moved)
	e.moved = make(chan struct{})
}

// Write adds packets. Only the maker calls it.
func (e *entry) Write(p []byte) (int, error) {
	e.mu.Lock()
	file, size := e.file, e.size
	if file == nil && size+int64(len(p)) <= memoryEntry {
		// Readers have slices of what is there, which an append leaves alone.
		e.memory = append(e.memory, p...)
		e.size += int64(len(p))
		e.wake()
		e.mu.Unlock()
		return len(p), nil
	}
	e.mu.Unlock()
	if size+int64(len(p)) > e.max {
		return 0, errTooLarge
	}
	if file == nil {
		var err error
		if file, err = e.spill(); err != nil {
			return 0, errors.Join(ErrNoRoom, err)
		}
	}
	if _, err := file.Write(p); err != nil {
		return 0, errors.Join(ErrNoRoom, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.size += int64(len(p))
	e.wake()
	return len(p), nil
}

// spill makes a file of what is in memory. Only the maker calls it, so that nothing changes
// meanwhile.
func (e *entry) spill() (*os.File, error) {
	file, err := os.OpenFile(e.temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(e.memory); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(e.temporary))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.file, e.memory = file, nil
	return file, nil
}

// name gives a whole entry its last name. Only the maker calls it.
func (e *entry) name() error {
	e.mu.Lock()
	inFile := e.file != nil
	e.mu.Unlock()
	if !inFile {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(e.final), 0o700); err != nil {
		return fmt.Errorf("keep a pack: %w", err)
	}
	if err := os.Rename(e.temporary, e.final); err != nil {
		return fmt.Errorf("keep a pack: %w", err)
	}
	e.path = e.final
	return nil
}

// finish ends the making of an entry, with what went wrong. Nobody makes it any more.
func (e *entry) finish(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.done = true
	} else {
		e.err = err
		if e.file != nil {
			_ = os.Remove(e.temporary) // else the next start does
		}
	}
	e.wake()
	e.closeFile()
}

// open opens the file of a whole entry. One that is not as long as it was is damaged, and
// nobody could ever fetch it.
func (e *entry) open() (*os.File, error) {
	file, err := os.Open(e.path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() != e.size { // which does not change any more
		err = errDamaged
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// check compares a file that an earlier process has left with its checksum, once.
func (e *entry) check() error {
	e.checking.Do(func() {
		if !e.leftover {
			return
		}
		objects, err := check(e.path)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.objects, e.err = objects, err
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
