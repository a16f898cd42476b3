package merge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/nativegit"
	"github.com/annal-git/annal/gitfs/store"
)

// Config of a Merger. Store and Dir must be given.
type Config struct {
	Store   *store.Store
	Dir     string        // folder of the local home for scratch repositories, of this process alone
	Git     string        // program, of version 2.38 or later; default git
	Timeout time.Duration // of one process; default 30 s
	Memory  int64         // that one process may take for data, in bytes; default 2 GiB
	Merges  int           // at a time, others wait; default 1 for each CPU
}

// Merger merges. Its methods may be called at the same time.
type Merger struct {
	config Config
	turns  chan struct{} // a token for each merge under way
}

// Open makes a Merger and removes what an earlier process has left in its folder.
func Open(c Config) (*Merger, error) {
	c.Git, c.Timeout, c.Memory = cmp.Or(c.Git, "git"), cmp.Or(c.Timeout, 30*time.Second), cmp.Or(c.Memory, 2<<30)
	c.Merges = cmp.Or(c.Merges, runtime.GOMAXPROCS(0))
	if c.Timeout < 0 || c.Memory < 0 || c.Merges < 0 {
		return nil, errors.New("merge: time, memory and number must be positive")
	}
	var err error
	if c.Dir, err = nativegit.ScratchFolder(c.Dir); err != nil {
		return nil, err
	}
	return &Merger{config: c, turns: make(chan struct{}, c.Merges)}, nil
}

func (m *Merger) git() nativegit.Runner {
	return nativegit.Runner{Program: m.config.Git, Timeout: m.config.Timeout, Memory: m.config.Memory}
}

// Merged is what came of a merge, until Close.
type Merged struct {
	Tree      git.ObjectID // with marks where there are conflicts
	Conflicts []string     // paths that cannot be merged by themselves, in Git's order; none if it is clean

	merger  *Merger
	scratch *nativegit.Scratch // nil until it is made
	objects *store.Objects
}

// Merge merges the commit theirs into the commit ours. Both are in the repository, and the
// caller may see them. Commits without a common ancestor are a *domain.ConflictError. The
// caller must Close what is returned.
func (m *Merger) Merge(ctx context.Context, s *gitfs.Snapshot, ours, theirs git.ObjectID) (_ *Merged, err error) {
	select {
	case m.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-m.turns }()
	// Pinned, so that they stay, and known to be readable on this node.
	objects, err := m.config.Store.Objects(ctx, s.Storage, s.Packs)
	if err != nil {
		return nil, err
	}
	merged := &Merged{merger: m, objects: objects}
	defer func() {
		if err != nil {
			err = errors.Join(err, merged.Close())
		}
	}()
	if err := merged.prepare(); err != nil {
		return nil, err
	}
	out, err := m.git().Run(ctx, merged.scratch.Dir, nil, "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours.String(), theirs.String())
	const conflicts = 1 // exit status
	switch {
	case err == nil || out.Code == conflicts:
	case strings.Contains(out.Problems, "unrelated histories"):
		return nil, domain.Conflict("", "The two commits have no common ancestor.")
	default:
		return nil, fmt.Errorf("merge: %w", err)
	}
	fields := strings.Split(strings.TrimSuffix(out.Text, "\x00"), "\x00")
	if merged.Tree, err = git.ParseObjectID(fields[0]); err != nil {
		return nil, fmt.Errorf("merge: git merge-tree: %w", err)
	}
	if out.Code == conflicts {
		merged.Conflicts = fields[1:]
	}
	return merged, nil
}

// prepare makes the scratch repository.
func (m *Merged) prepare() (err error) {
	if m.scratch, err = nativegit.NewScratch(m.merger.config.Dir, "[merge]\n\trenameLimit = 2000\n"); err != nil {
		return err
	}
	return m.objects.LinkPacks(m.scratch.Packs())
}

// Pack writes a pack of everything that the merge has made and of a commit, given as its
// bytes, whose id it returns. The pack is complete but for what the repository has.
func (m *Merged) Pack(ctx context.Context, w io.Writer, commit []byte) (git.ObjectID, error) {
	out, err := m.merger.git().Run(ctx, m.scratch.Dir, bytes.NewReader(commit), "hash-object", "-t", "commit", "-w", "--stdin")
	if err != nil {
		return git.ZeroID, fmt.Errorf("merge: %w", err)
	}
	id, err := git.ParseObjectID(strings.TrimSpace(out.Text))
	if err != nil {
		return git.ZeroID, err
	}
	made, err := m.loose()
	if err != nil {
		return git.ZeroID, err
	}
	out, err = m.merger.git().Run(ctx, m.scratch.Dir, strings.NewReader(made), "pack-objects", "--stdout", "-q", "--delta-base-offset", "--window=0")
	if err != nil {
		return git.ZeroID, fmt.Errorf("merge: %w", err)
	}
	_, err = io.WriteString(w, out.Text)
	return id, err
}

// loose lists the objects that were made, a line each.
func (m *Merged) loose() (string, error) {
	var ids strings.Builder
	folders, err := os.ReadDir(filepath.Join(m.scratch.Dir, "objects"))
	if err != nil {
		return "", err
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(m.scratch.Dir, "objects", folder.Name()))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if id, err := git.ParseObjectID(folder.Name() + file.Name()); err == nil {
				ids.WriteString(id.String() + "\n")
			}
		}
	}
	return ids.String(), nil
}

// Close removes what the merge has made.
func (m *Merged) Close() error {
	m.objects.Release()
	if m.scratch == nil {
		return nil
	}
	return m.scratch.Remove()
}
