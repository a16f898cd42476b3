package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/commitgraph"
)

// HasGraph reports whether a pack with so many objects may have a commit-graph, in a file with
// the suffix .graph, which maintenance makes.
func (s *Store) HasGraph(objects int64) bool { return objects >= s.config.GraphFrom }

// packGraph is the commit-graph of a pack, opened when it is first asked for. Nobody needs it: what
// it says is in the pack, too.
type packGraph struct {
	mu     sync.Mutex
	asked  bool
	opened *commitgraph.Graph // nil if there is none
	file   localFile
}

// commitGraph returns the graph of the pack, nil if it has none that can be read.
func (p *Pack) commitGraph(ctx context.Context) *commitgraph.Graph {
	if !p.store.HasGraph(p.info.Objects) {
		return nil
	}
	g := &p.graph
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked {
		return g.opened
	}
	file, err := p.localGraph(ctx)
	if err == nil {
		if g.opened, err = commitgraph.Parse(file.content); err == nil {
			g.file = file
		} else {
			_ = file.release() // it was only read
		}
	}
	g.asked = !isCancelled(err)
	return g.opened
}

// localGraph opens the copy in the local home, which is made first if need be.
func (p *Pack) localGraph(ctx context.Context) (localFile, error) {
	dir := filepath.Join(p.store.config.LocalHome, localIndexes, p.storage)
	file := packFile(p.info.ID, "graph")
	open := func() (localFile, error) {
		f, err := openLocal(filepath.Join(dir, file))
		if err != nil {
			return localFile{}, err
		}
		if err := commitgraph.Check(f.content); err != nil {
			return localFile{}, errors.Join(err, f.release())
		}
		return f, nil
	}
	if f, err := open(); err == nil {
		return f, nil
	}
	content, err := p.sharedGraph(ctx, file)
	if err != nil {
		return localFile{}, err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o777), writeLocal(dir, file, content)); err != nil {
		return localFile{}, err
	}
	return open()
}

// sharedGraph reads the file from the shared home. It may not be there, so nobody waits for it.
func (p *Pack) sharedGraph(ctx context.Context, file string) ([]byte, error) {
	const mostOfOne = 1 << 10 // bytes for a commit; a filter takes at most 640
	var content bytes.Buffer
	err := p.store.useShared(ctx, func() error {
		f, err := p.store.files.Open(path.Join(packDir(p.storage), file))
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = content.ReadFrom(io.NewSectionReader(f, 0, (p.info.Objects+4)*mostOfOne))
		return err
	})
	if err != nil {
		return nil, err
	}
	return content.Bytes(), commitgraph.Check(content.Bytes())
}

// Commit returns what a commit-graph says of a commit. ok is false if none knows it, which
// says nothing about whether it is there.
func (o *Objects) Commit(ctx context.Context, id git.ObjectID) (c commitgraph.Commit, ok bool) {
	g, pos := o.graphOf(ctx, id)
	if g == nil {
		return c, false
	}
	c, err := g.Commit(pos)
	return c, err == nil
}

// Unchanged reports that a commit is known to leave a path as its first parent has it; false
// says nothing.
func (o *Objects) Unchanged(ctx context.Context, id git.ObjectID, path commitgraph.Path) bool {
	g, pos := o.graphOf(ctx, id)
	return g != nil && g.Unchanged(pos, path)
}

func (o *Objects) graphOf(ctx context.Context, id git.ObjectID) (*commitgraph.Graph, int) {
	if o.only != nil && !o.only(id) {
		return nil, 0
	}
	for _, p := range o.packs {
		if g := p.commitGraph(ctx); g != nil {
			if pos, ok := g.Find(id); ok {
				return g, pos
			}
		}
	}
	return nil, 0
}
