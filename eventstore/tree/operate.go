package tree

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore"
)

// PrepareKey makes the signing key of a log that has never had one. A key that is gone is
// an error: it is not replaced without anybody's word.
func PrepareKey(ctx context.Context, config Config) error {
	history, err := ReadHistory(ctx, config.Log)
	if err != nil {
		return err
	}
	signed, err := config.Table.After(ctx, 0, 0, 1)
	if err != nil {
		return err
	}
	if len(signed) == 0 && len(history.Keys) == 0 {
		_, err := FirstKey(config.KeyFile)
		return err
	}
	head, err := config.Log.Head(ctx)
	if err != nil {
		return err
	}
	public, err := history.Key(head, nil)
	if err != nil {
		return err
	}
	if _, err = LoadKeyOf(config.KeyFile, public); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: restore it from where it is kept, or begin with another by 'annal audit keys rotate --lost'", err)
	}
	return err
}

// RotateKey begins with another signing key. The one in use vouches for it, unless it is
// lost. It returns the position of the event that introduces the new one.
func RotateKey(ctx context.Context, config Config, lost bool, meta domain.Metadata) (int64, cluster.SigningKeyChanged, error) {
	event := cluster.SigningKeyChanged{}
	history, err := ReadHistory(ctx, config.Log)
	if err != nil {
		return 0, event, err
	}
	head, err := config.Log.Head(ctx)
	if err != nil {
		return 0, event, err
	}
	public, err := history.Key(head, nil)
	if err != nil {
		return 0, event, err
	}
	var old Key
	if !lost {
		if old, err = LoadKeyOf(config.KeyFile, public); err != nil {
			return 0, event, err
		}
		public = old.Public()
	}
	next, err := StageKey(config.KeyFile)
	if err != nil {
		return 0, event, err
	}
	event.New = PublicKeyText(next.Public())
	if public != nil {
		event.Old = PublicKeyText(public)
	}
	if !lost {
		if event.Vouch, err = old.Vouch(history.Cluster, next.Public()); err != nil {
			return 0, event, err
		}
	}
	appended, err := config.Log.Append(ctx, eventstore.Proposal{
		Stream: domain.ClusterStream, Expect: eventstore.Any, Events: []domain.Event{event}, Meta: meta,
	})
	if err != nil {
		return 0, event, err
	}
	return appended.Position, event, AdoptKey(config.KeyFile)
}

// ErrWhole says that the log contains everything that was signed, so that there is no
// reason for a new epoch.
var ErrWhole = errors.New("the log contains everything that was signed: there is no reason for a new epoch")

// StartEpoch begins a new epoch for a log that does not contain what was signed any more,
// as a Witness with the same memory finds. progress may be nil.
func StartEpoch(ctx context.Context, w *Witness, reason string, meta domain.Metadata, progress func(done, all int64)) (int64, cluster.EpochStarted, error) {
	config, event := w.config, cluster.EpochStarted{Reason: reason}
	err := w.Check(ctx)
	var behind *BehindError
	var forked *ForkError
	switch {
	case err == nil:
		return 0, event, ErrWhole
	case !errors.As(err, &behind) && !errors.As(err, &forked):
		return 0, event, err
	}
	history, err := ReadHistory(ctx, config.Log)
	if err != nil {
		return 0, event, err
	}
	head, err := config.Log.Head(ctx)
	if err != nil {
		return 0, event, err
	}
	signed, old, err := w.newestKnown(history)
	if err != nil {
		return 0, event, err
	}
	_, epoch, err := ParseOrigin(old.Origin)
	if err != nil {
		return 0, event, err
	}
	event.Checkpoint, event.Epoch = signed, max(epoch, history.Epoch(head))+1
	cut, err := w.compare(ctx, EpochFolder(config.Dir, epoch), EpochFolder(config.Dir, event.Epoch), old, head, progress)
	if err != nil {
		return 0, event, err
	}
	event.Cut, event.CutRoot, event.OldProof, event.NewProof = cut.size, cut.root.String(), cut.oldProof, cut.newProof
	appended, err := config.Log.Append(ctx, eventstore.Proposal{
		Stream: domain.ClusterStream, Expect: eventstore.Any, Events: []domain.Event{event}, Meta: meta,
	})
	if err == nil && appended.Position != head+1 {
		err = errors.New("something else was added to the log at the same moment: stop all nodes and start the epoch again")
	}
	return appended.Position, event, err
}

// newestKnown is the newest checkpoint that this node or the shared home has.
func (w *Witness) newestKnown(history *History) (signed string, c Checkpoint, err error) {
	kept, shared, err := w.known()
	if err != nil {
		return "", c, err
	}
	newest := int64(0)
	for _, note := range []string{kept, shared} {
		if note == "" {
			continue
		}
		opened, err := w.open(history, note)
		if err != nil {
			return "", c, err
		}
		_, epoch, err := ParseOrigin(opened.Origin)
		if err != nil {
			return "", c, err
		}
		if epoch > newest || (epoch == newest && opened.Size > c.Size) {
			signed, c, newest = note, opened, epoch
		}
	}
	return signed, c, nil
}

// cutPoint is where a log and a tree that was signed part.
type cutPoint struct {
	size               int64
	root               tlog.Hash
	oldProof, newProof []string
}

// compare finds how much of an old tree the log still has. It makes the files of the new
// tree on the way, because the proof is made from them.
func (w *Witness) compare(ctx context.Context, oldFolder, newFolder Folder, old Checkpoint, head int64, progress func(done, all int64)) (cutPoint, error) {
	b := &builder{out: writer{folder: newFolder}}
	var tile []tlog.Hash
	cut, known, parted := int64(0), true, false
	for b.size < head {
		events, err := w.config.Log.ReadStored(ctx, b.size, int(min(pageEvents, head-b.size)))
		if err != nil {
			return cutPoint{}, err
		}
		if len(events) == 0 {
			return cutPoint{}, &BehindError{Head: b.size, Checkpoint: head}
		}
		for _, e := range events {
			index := b.size
			if err := b.append(e); err != nil {
				return cutPoint{}, err
			}
			if parted || index >= old.Size {
				continue
			}
			if known && index%TileWidth == 0 {
				tile, err = oldFolder.Tile(0, index/TileWidth, int(min(TileWidth, old.Size-index)))
				if known = err == nil; !known && !errors.Is(err, fs.ErrNotExist) {
					return cutPoint{}, err
				}
			}
			if known && tile[index%TileWidth] != tlog.Hash(eventstore.LeafHash(b.leaf)) {
				parted = true
				continue
			}
			cut = index + 1
		}
		if progress != nil {
			progress(b.size, head)
		}
	}
	if err := b.flush(); err != nil {
		return cutPoint{}, err
	}
	f := b.frontier()
	fresh := Checkpoint{Size: head, Root: f.Root()}
	root, err := newFolder.RootAt(fresh, cut)
	if err != nil {
		return cutPoint{}, err
	}
	point := cutPoint{size: cut, root: root}
	if cut > 0 && cut < head {
		proof, err := newFolder.ProvePrefix(fresh, cut)
		if err != nil {
			return cutPoint{}, err
		}
		point.newProof = texts(proof)
	}
	if cut > 0 && known {
		proof, err := oldFolder.ProvePrefix(old, cut)
		if err != nil {
			return cutPoint{}, err
		}
		point.oldProof = texts(proof)
	}
	return point, nil
}

func texts(hashes []tlog.Hash) []string {
	list := make([]string, len(hashes))
	for i, h := range hashes {
		list[i] = h.String()
	}
	return list
}

// CheckLink reports, as an error, if an epoch does not go on from where it says. before
// is the root of the tree over all events before the one that began it, at position. An
// epoch without a proof against the old tree is ErrUnproven.
func CheckLink(e cluster.EpochStarted, position int64, before tlog.Hash) error {
	old, err := PeekCheckpoint(e.Checkpoint)
	if err != nil {
		return err
	}
	if e.Cut < 0 || e.Cut >= position || e.Cut > old.Size {
		return fmt.Errorf("the cut %d does not lie in both trees", e.Cut)
	}
	root, err := tlog.ParseHash(e.CutRoot)
	if err != nil {
		return err
	}
	if e.Cut == 0 {
		return nil
	}
	newProof, err := hashes(e.NewProof)
	if err != nil {
		return err
	}
	if e.Cut == position-1 {
		if root != before {
			return errors.New("the root at the cut is not that of the log")
		}
	} else if err := tlog.CheckTree(newProof, position-1, before, e.Cut, root); err != nil {
		return fmt.Errorf("the log does not begin with the cut: %w", err)
	}
	oldProof, err := hashes(e.OldProof)
	if err != nil {
		return err
	}
	switch {
	case e.Cut == old.Size && root != old.Root:
		return errors.New("the checkpoint does not have the root at the cut")
	case e.Cut == old.Size:
		return nil
	case len(oldProof) == 0:
		return ErrUnproven
	}
	if err := tlog.CheckTree(oldProof, old.Size, old.Root, e.Cut, root); err != nil {
		return fmt.Errorf("the old tree does not begin with the cut: %w", err)
	}
	return nil
}

// ErrUnproven says that the tiles of an epoch were lost, so that nothing proves what the
// next has in common with it.
var ErrUnproven = errors.New("the old tree was lost, so that nothing proves that the new one begins as it did")

func hashes(texts []string) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		var err error
		if list[i], err = tlog.ParseHash(text); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// PublicKey is the key that signs the log now, as the log or else the key file says.
func PublicKey(ctx context.Context, config Config) (ed25519.PublicKey, *History, error) {
	history, err := ReadHistory(ctx, config.Log)
	if err != nil {
		return nil, nil, err
	}
	head, err := config.Log.Head(ctx)
	if err != nil {
		return nil, nil, err
	}
	public, err := config.signer(history, head)
	return public, history, err
}
