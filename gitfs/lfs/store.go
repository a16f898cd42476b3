// Package lfs keeps the objects of Git LFS on the shared home: one file each, in the folder
// of the repository that it was uploaded to, named by the SHA-256 of its content. Which
// repository has which object is not for this package to know: a file is opened only after
// its row was found.
package lfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/gitfs/faultpoint"
	"github.com/annal-git/annal/gitfs/store"
)

// Fault points of an upload, see package faultpoint, in their order.
const (
	ObjectWritten = "lfs.object.written"
	ObjectSynced  = "lfs.object.synced"
	ObjectRenamed = "lfs.object.renamed"
	ObjectDurable = "lfs.object.durable"
)

// FaultPoints are the fault points of an upload.
var FaultPoints = []string{ObjectWritten, ObjectSynced, ObjectRenamed, ObjectDurable}

// Store is the objects of all repositories. It is safe for concurrent use.
type Store struct {
	root  string
	files store.Files
	node  string
}

// Open makes a Store in the shared home. node names this node's staging folders. files is
// what is asked to change anything there; nil means the folder itself.
func Open(sharedHome, node string, files store.Files) *Store {
	if files == nil {
		files = store.DirFiles(sharedHome)
	}
	return &Store{root: sharedHome, files: files, node: node}
}

// MismatchError says that what was sent is not the object that was announced.
type MismatchError struct{ Message string }

func (e *MismatchError) Error() string { return e.Message }

// StoreError says that an object could not be made durable. What is left of it nobody
// reads; it may be sent again.
type StoreError struct {
	Step string
	Err  error // for the log: it may name paths
}

func (e *StoreError) Error() string { return fmt.Sprintf("store an LFS object: %s: %v", e.Step, e.Err) }

func (e *StoreError) Unwrap() error { return e.Err }

const (
	chunk = 256 << 10 // bytes read at a time
	// unsynced is how many bytes may not be durable yet. With more, the last sync of a large
	// object could take longer than clients wait for an answer (30 seconds, by default).
	unsynced = 256 << 20
)

// Put reads an object to its end and makes it durable in the folder of a repository. It is
// written under a name that nobody else uses, in a staging folder that the sweeper looks
// through, hashed on the way, and gets its own name only whole; one that is there already is
// the same and stays, because others may be reading it. Errors: *MismatchError, *StoreError,
// those of content, and the cause of ctx's end.
func (s *Store) Put(ctx context.Context, storage string, oid lfs.OID, size int64, content io.Reader) (err error) {
	if err := checkStorage(storage); err != nil {
		return err
	}
	staging := path.Join(repositoryDir(storage), store.LFSStaging, s.node)
	if err := s.makeFolders(staging, false); err != nil {
		return err
	}
	staged := path.Join(staging, uuid.Must(uuid.NewV7()).String()+".lfs")
	defer func() { _ = s.files.Remove(staged) }() // or it has been renamed
	if err := s.write(ctx, staged, oid, size, content); err != nil {
		return err
	}
	final := s.object(storage, oid)
	if err := s.makeFolders(path.Dir(final), true); err != nil {
		return err
	}
	switch there, err := s.files.Stat(final); {
	case err == nil && there == size:
	case err == nil:
		return &StoreError{"compare", errors.New("another object has the same name")}
	case !errors.Is(err, fs.ErrNotExist):
		return &StoreError{"look", err}
	default:
		if err := s.files.Rename(staged, final); err != nil {
			return &StoreError{"rename", err}
		}
	}
	faultpoint.Reach(ObjectRenamed)
	if err := s.files.SyncDir(path.Dir(final)); err != nil {
		return &StoreError{"sync a folder", err}
	}
	faultpoint.Reach(ObjectDurable)
	return nil
}

// write writes a staging file and makes it durable.
func (s *Store) write(ctx context.Context, name string, oid lfs.OID, size int64, content io.Reader) (err error) {
	f, err := s.files.Create(name)
	if err != nil {
		return &StoreError{"create", err}
	}
	closed := false
	defer func() {
		if !closed {
			_ = f.Close()
		}
	}()
	hash, buffer, left, written := sha256.New(), make([]byte, min(size+1, chunk)), size, 0
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := content.Read(buffer)
		if int64(n) > left {
			return &MismatchError{fmt.Sprintf("More than the %d bytes that were announced have come.", size)}
		}
		left -= int64(n)
		hash.Write(buffer[:n])
		if n > 0 {
			if _, err := f.Write(buffer[:n]); err != nil {
				return &StoreError{"write", err}
			}
			if written += n; written >= unsynced {
				if err := f.Sync(); err != nil {
					return &StoreError{"sync", err}
				}
				written = 0
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if left > 0 {
		return &MismatchError{fmt.Sprintf("%d bytes were announced, and %d have come.", size, size-left)}
	}
	if lfs.OID(hash.Sum(nil)) != oid {
		return &MismatchError{"The content does not have the hash that the object is named by."}
	}
	faultpoint.Reach(ObjectWritten)
	// After a failed sync the content is gone, whatever a second one says.
	if err := f.Sync(); err != nil {
		return &StoreError{"sync", err}
	}
	closed = true
	if err := f.Close(); err != nil {
		return &StoreError{"close", err}
	}
	faultpoint.Reach(ObjectSynced)
	return nil
}

// makeFolders makes a folder and those above it, which are durable before anything is in
// them that matters.
func (s *Store) makeFolders(dir string, durable bool) error {
	err := s.files.Mkdir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.makeFolders(path.Dir(dir), durable); err != nil {
			return err
		}
		err = s.files.Mkdir(dir)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		// By another node, maybe a moment ago, and not durable yet.
	case err != nil:
		return &StoreError{"make a folder", err}
	}
	if durable {
		if err := s.files.SyncDir(path.Dir(dir)); err != nil {
			return &StoreError{"sync a folder", err}
		}
	}
	return nil
}

// Open opens an object. Whoever calls it has found that the repository whose folder it is has
// the object, so that one which is not there is an error of ours.
func (s *Store) Open(storage string, oid lfs.OID) (*os.File, error) {
	if err := checkStorage(storage); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(s.root, filepath.FromSlash(s.object(storage, oid))))
	if err != nil {
		return nil, &StoreError{"open", err}
	}
	return f, nil
}

// object names the file of an object, relative to the shared home. A hundred thousand objects
// are two in a folder.
func (s *Store) object(storage string, oid lfs.OID) string {
	name := oid.String()
	return path.Join(repositoryDir(storage), "lfs", name[:2], name[2:4], name)
}

// repositoryDir is the folder of a repository, in which its packs lie, too.
func repositoryDir(storage string) string { return path.Join("repos", storage[:2], storage) }

// checkStorage keeps anything that is not a folder's name out of paths.
func checkStorage(storage string) error {
	if len(storage) < 2 || storage != path.Base(storage) || storage[0] == '.' {
		return fmt.Errorf("lfs: %q cannot name a repository's folder", storage)
	}
	return nil
}
