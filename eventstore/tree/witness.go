package tree

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/eventstore"
)

// Witness is a node's own memory of the tree: the newest checkpoint that it has verified,
// in a file on its own disk. What contradicts it, or what the shared home knows, is
// refused: a log that was restored to an older state, or changed.
type Witness struct {
	config Config
	file   string
	seen   Row // the newest that has been verified
}

// NewWitness keeps its checkpoint in a file, which need not be there yet.
func NewWitness(config Config, file string) *Witness { return &Witness{config: config, file: file} }

// Check verifies that the log and its newest checkpoint contain everything that was
// signed before, and keeps that checkpoint. The error is a *BehindError or a *ForkError
// if they do not; any other means that it cannot be said.
func (w *Witness) Check(ctx context.Context) error {
	// Files first: what they know is in the database then, if it is the same one.
	kept, shared, err := w.known()
	if err != nil {
		return err
	}
	history, err := ReadHistory(ctx, w.config.Log)
	if err != nil {
		return err
	}
	var known []Checkpoint
	for _, signed := range []string{kept, shared} {
		if signed == "" {
			continue
		}
		c, err := w.open(history, signed)
		if err != nil {
			return err
		}
		known = append(known, c)
	}
	head, err := w.config.Log.Head(ctx)
	if err != nil {
		return err
	}
	epoch := history.Epoch(head)
	newest, found, err := w.config.Table.Newest(ctx, epoch)
	if err != nil {
		return err
	}
	if found {
		if newest.Size > head {
			return &BehindError{Head: head, Checkpoint: newest.Size}
		}
		if err := w.config.checkNote(history, newest); err != nil {
			return err
		}
	}
	for _, c := range known {
		if err := w.contains(ctx, history, head, newest, c); err != nil {
			return err
		}
	}
	if found && newest.Note != w.seen.Note {
		if err := w.keep(newest.Note); err != nil {
			return err
		}
		w.seen = newest
	}
	return nil
}

// Newest is the checkpoint that was verified last; its Note is empty if none was.
func (w *Witness) Newest() Row { return w.seen }

// known reads the newest checkpoints of this node's disk and of the shared home, as
// signed; "" where there is none.
func (w *Witness) known() (kept, shared string, err error) {
	own, err := os.ReadFile(w.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	epoch, err := NewestEpoch(w.config.Dir)
	if err == nil && epoch > 0 {
		shared, err = EpochFolder(w.config.Dir, epoch).Checkpoint()
	}
	return string(own), shared, err
}

// open reads a checkpoint that any key of the log may have signed: after the log was
// restored to an older state, it does not say any more which did.
func (w *Witness) open(history *History, signed string) (Checkpoint, error) {
	var keys []ed25519.PublicKey
	for _, file := range []string{w.config.KeyFile, w.config.KeyFile + nextSuffix} {
		if own, err := LoadKey(file); err == nil {
			keys = append(keys, own.Public())
		}
	}
	for _, change := range history.Keys {
		for _, name := range []string{change.Old, change.New} {
			if key, err := ParsePublicKey(name); err == nil {
				keys = append(keys, key)
			}
		}
	}
	err := errors.New("no key is known that may have signed it")
	for _, key := range keys {
		var c Checkpoint
		if c, err = OpenCheckpoint(signed, key); err == nil {
			return c, nil
		}
	}
	return Checkpoint{}, fmt.Errorf("a checkpoint that was kept is not one of this log: %w", err)
}

// contains checks that the log as it is contains what a checkpoint signed.
func (w *Witness) contains(ctx context.Context, history *History, head int64, newest Row, c Checkpoint) error {
	cluster, epoch, err := ParseOrigin(c.Origin)
	if err != nil {
		return err
	}
	if cluster != history.Cluster {
		return fmt.Errorf("a checkpoint of cluster %s is known, and the log is of cluster %s", cluster, history.Cluster)
	}
	current := history.Epoch(head)
	if epoch > current {
		return &BehindError{Head: head, Checkpoint: c.Size}
	}
	for _, next := range history.Epochs {
		if next.EpochStarted.Epoch <= epoch {
			continue
		}
		if c, err = w.cut(c, next); err != nil {
			return err
		}
	}
	switch {
	case newest.Size >= c.Size:
		return EpochFolder(w.config.Dir, current).checkPrefix(Checkpoint{Size: newest.Size, Root: newest.Root}, c.Size, c.Root)
	case head < c.Size:
		return &BehindError{Head: head, Checkpoint: c.Size}
	}
	return w.replay(ctx, newest, c)
}

// cut is what is left of a checkpoint when the next epoch begins: what the operator who
// began it has said that the log lost is not asked for any more.
func (w *Witness) cut(c Checkpoint, next EpochPeriod) (Checkpoint, error) {
	if c.Size <= next.Cut {
		return c, nil
	}
	signed, err := PeekCheckpoint(next.Checkpoint)
	if err != nil {
		return c, err
	}
	if c.Size > signed.Size {
		return c, fmt.Errorf("epoch %d was begun behind a checkpoint of %d events, but a later one of %d is known", next.EpochStarted.Epoch, signed.Size, c.Size)
	}
	if err := EpochFolder(w.config.Dir, next.EpochStarted.Epoch-1).checkPrefix(signed, c.Size, c.Root); err != nil {
		return c, err
	}
	root, err := tlog.ParseHash(next.CutRoot)
	return Checkpoint{Origin: c.Origin, Size: next.Cut, Root: root}, err
}

// replay computes the root of a checkpoint from the newest one before it and the events
// between the two.
func (w *Witness) replay(ctx context.Context, from Row, c Checkpoint) error {
	f, err := NewFrontier(from.Size, from.Frontier)
	if err != nil {
		return err
	}
	if from.Size > 0 && f.Root() != from.Root {
		return &ForkError{Size: from.Size, Signed: from.Root, Found: f.Root()}
	}
	var leaf []byte
	for f.Size() < c.Size {
		events, err := w.config.Log.ReadStored(ctx, f.Size(), int(min(pageEvents, c.Size-f.Size())))
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return &BehindError{Head: f.Size(), Checkpoint: c.Size}
		}
		for _, e := range events {
			leaf = e.AppendLeaf(leaf[:0])
			f.Append(tlog.Hash(eventstore.LeafHash(leaf)))
		}
	}
	if f.Root() != c.Root {
		return &ForkError{Size: c.Size, Signed: c.Root, Found: f.Root()}
	}
	return nil
}

func (w *Witness) keep(signed string) error {
	out := writer{folder: Folder{filepath.Dir(w.file)}}
	return errors.Join(out.write(filepath.Base(w.file), []byte(signed)), out.sync())
}
