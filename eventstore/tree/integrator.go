package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/eventstore"
)

// Bounds of one step.
const (
	pageEvents = 1000
	stepEvents = 1 << 17 // events that a checkpoint adds at most
)

// Config is what integrators and witnesses work with.
type Config struct {
	Log     *eventstore.Log
	Table   Table
	Dir     string // folder of the log on the shared home
	KeyFile string // of the signing key, outside the database
	Logger  *slog.Logger
}

// Integrator extends the tree by what has been appended and signs the result. It is not
// safe for concurrent use; two of them, on one node or on two, do no harm.
type Integrator struct {
	config  Config
	history *History
	key     Key
	builder *builder // nil until the newest checkpoint has been read
	epoch   int64
	sizes   [3]int64 // of the newest checkpoints, newest first
}

// NewIntegrator makes an Integrator.
func NewIntegrator(config Config) *Integrator { return &Integrator{config: config} }

// Step brings the tree up to the end of the log, or a good way towards it, publishes a
// checkpoint, and returns the tree's size. It returns the size as it is if there is
// nothing to add. After an error it starts from what is published.
func (i *Integrator) Step(ctx context.Context) (size int64, err error) {
	defer func() {
		if err != nil {
			i.builder = nil
		}
	}()
	if i.builder == nil {
		if err := i.load(ctx); err != nil {
			return 0, err
		}
	}
	added := 0
	// The key of the time before a change is gone, so a change that is known of is passed.
	for added < stepEvents || i.history.changesKeyBehind(i.builder.size) {
		events, err := i.config.Log.ReadStored(ctx, i.builder.size, pageEvents)
		if err != nil {
			return 0, err
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if concerns(e.Type) {
				if i.history, err = ReadHistory(ctx, i.config.Log); err != nil {
					return 0, err
				}
				if i.history.Epoch(e.Position) > i.epoch {
					// From here on it is another tree, with a folder of its own; the
					// files of this one are kept as they are.
					i.builder = nil
					return i.Step(ctx)
				}
			}
			if err := i.builder.append(e); err != nil {
				return 0, err
			}
		}
		added += len(events)
	}
	if added == 0 && i.sizes[0] == i.builder.size {
		return i.builder.size, nil
	}
	err = i.publish(ctx)
	if errors.Is(err, errFollowed) {
		i.builder = nil
		return i.Step(ctx)
	}
	return i.sizes[0], err
}

// load takes up the newest checkpoint of the newest epoch.
func (i *Integrator) load(ctx context.Context) error {
	head, err := i.config.Log.Head(ctx)
	if err != nil {
		return err
	}
	if i.history, err = ReadHistory(ctx, i.config.Log); err != nil {
		return err
	}
	i.epoch = i.history.Epoch(head)
	i.sizes = [3]int64{}
	folder := EpochFolder(i.config.Dir, i.epoch)
	// The file first: what it has is in the table then, if it is the same database.
	published, err := folder.Checkpoint()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	newest, found, err := i.config.Table.Newest(ctx, i.epoch)
	if err != nil {
		return err
	}
	if c, err := PeekCheckpoint(published); err == nil && c.Size > newest.Size {
		return &BehindError{Head: newest.Size, Checkpoint: c.Size}
	}
	if !found {
		i.builder = &builder{out: writer{folder: folder}}
		return nil
	}
	if err := i.config.checkNote(i.history, newest); err != nil {
		return fmt.Errorf("the newest checkpoint cannot be followed: %w", err)
	}
	if c, err := PeekCheckpoint(published); published == "" || (err == nil && c.Size < newest.Size) {
		// Whoever wrote the row did not come to write the file.
		out := writer{folder: folder}
		if err := errors.Join(out.write(checkpointName, []byte(newest.Note)), out.sync()); err != nil {
			return fmt.Errorf("write the checkpoint of the log: %w", err)
		}
	}
	i.sizes[0] = newest.Size
	i.builder, err = resume(folder, newest.Size, newest.Root)
	if err == nil || !lost(err) {
		return err
	}
	i.config.Logger.Warn("the tiles of the log are made anew from its events", "size", newest.Size, "reason", err)
	return i.rebuild(ctx, folder, newest)
}

// rebuild makes all files of a checkpoint's tree from the log, which must give the root
// that was signed.
func (i *Integrator) rebuild(ctx context.Context, folder Folder, newest Row) error {
	i.builder = &builder{out: writer{folder: folder}}
	for i.builder.size < newest.Size {
		events, err := i.config.Log.ReadStored(ctx, i.builder.size, int(min(pageEvents, newest.Size-i.builder.size)))
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return &BehindError{Head: i.builder.size, Checkpoint: newest.Size}
		}
		for _, e := range events {
			if err := i.builder.append(e); err != nil {
				return err
			}
		}
	}
	if f := i.builder.frontier(); f.Root() != newest.Root {
		return &ForkError{Size: newest.Size, Signed: newest.Root, Found: f.Root()}
	}
	return i.builder.flush()
}

// publish makes the files durable, then the row, then the file that names them.
func (i *Integrator) publish(ctx context.Context) error {
	if err := i.builder.flush(); err != nil {
		return fmt.Errorf("write the tiles of the log: %w", err)
	}
	frontier := i.builder.frontier()
	checkpoint := Checkpoint{Origin: i.history.Origin(frontier.size), Size: frontier.size, Root: frontier.Root()}
	if err := i.loadKey(frontier.size); err != nil {
		return err
	}
	signed, err := i.key.Sign(checkpoint)
	if err != nil {
		return err
	}
	err = i.config.Table.insert(ctx, Row{
		Epoch: i.epoch, Size: checkpoint.Size, Previous: i.sizes[0], Root: checkpoint.Root, Frontier: frontier.hashes, Note: signed,
	})
	if err != nil {
		return err
	}
	i.sizes = [3]int64{checkpoint.Size, i.sizes[0], i.sizes[1]}
	out := &i.builder.out
	if err := errors.Join(out.write(checkpointName, []byte(signed)), out.sync()); err != nil {
		return fmt.Errorf("write the checkpoint of the log: %w", err)
	}
	out.folder.tidy(i.sizes[2], i.sizes[1])
	return nil
}

// loadKey takes the key that signs a size. It is read again only if that is another one.
func (i *Integrator) loadKey(size int64) error {
	public, err := i.history.Key(size, nil)
	if err != nil {
		return err
	}
	if i.key.private != nil && (public == nil || i.key.Public().Equal(public)) {
		return nil
	}
	i.key, err = LoadKeyOf(i.config.KeyFile, public)
	return err
}

// BehindError says that the log ends before a checkpoint that was signed for it.
type BehindError struct{ Head, Checkpoint int64 }

func (e *BehindError) Error() string {
	return fmt.Sprintf("the log ends at position %d, and a checkpoint of %d events was signed: the database was restored to an older state", e.Head, e.Checkpoint)
}

// ForkError says that the log, or a newer checkpoint, contradicts a checkpoint that was
// signed.
type ForkError struct {
	Size          int64 // of the checkpoint
	Signed, Found tlog.Hash
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("the first %d events have the root %s, and a checkpoint was signed with the root %s: the log was changed", e.Size, e.Found, e.Signed)
}
