package tree

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore"
)

// History is what the log itself says about its tree: whose it is, and from which size
// on which key signs it in which epoch.
type History struct {
	Cluster string
	Keys    []KeyPeriod   // oldest first; none if the key was never changed
	Epochs  []EpochPeriod // from the second on
}

// KeyPeriod begins with the event that introduces a key.
type KeyPeriod struct {
	From int64 // position of the event
	cluster.SigningKeyChanged
}

// EpochPeriod begins with the event that starts an epoch.
type EpochPeriod struct {
	From int64 // position of the event
	cluster.EpochStarted
}

// ReadHistory reads the events about the tree.
func ReadHistory(ctx context.Context, log *eventstore.Log) (*History, error) {
	h := &History{}
	const page = 1000
	for version := int64(0); ; {
		events, err := log.ReadStream(ctx, domain.ClusterStream, version, page)
		if err != nil {
			return nil, fmt.Errorf("read the events of the cluster: %w", err)
		}
		for _, e := range events {
			h.Add(e.Position, e.Event)
			version = e.Version
		}
		if len(events) < page {
			break
		}
	}
	if h.Cluster == "" {
		return nil, errors.New("the log does not say which cluster it is of")
	}
	return h, nil
}

// Add takes in an event of the cluster's stream, in order.
func (h *History) Add(position int64, event domain.Event) {
	switch e := event.(type) {
	case cluster.Created:
		h.Cluster = e.ID
	case cluster.SigningKeyChanged:
		h.Keys = append(h.Keys, KeyPeriod{position, e})
	case cluster.EpochStarted:
		h.Epochs = append(h.Epochs, EpochPeriod{position, e})
	}
}

// concerns reports whether events of a type change what a History says.
func concerns(eventType string) bool {
	switch eventType {
	case cluster.SigningKeyChanged{}.EventType(), cluster.EpochStarted{}.EventType():
		return true
	}
	return false
}

// Epoch is the epoch of the tree of a size.
func (h *History) Epoch(size int64) int64 {
	epoch := int64(1)
	for _, e := range h.Epochs {
		if e.From <= size {
			epoch = e.EpochStarted.Epoch
		}
	}
	return epoch
}

// Origin is the origin of the tree of a size.
func (h *History) Origin(size int64) string { return Origin(h.Cluster, h.Epoch(size)) }

// Key is the public key that signs a tree of a size. first is the one that signed before
// any change, which the log does not name until then; it may be nil where it is not known.
func (h *History) Key(size int64, first ed25519.PublicKey) (ed25519.PublicKey, error) {
	name := ""
	for i, k := range h.Keys {
		if i == 0 {
			name = k.Old
		}
		if k.From <= size {
			name = k.New
		}
	}
	if name == "" {
		return first, nil
	}
	return ParsePublicKey(name)
}

// Open checks that a signed checkpoint is one of this history: signed by the key of its
// size, in the epoch of its size.
func (h *History) Open(signed string, first ed25519.PublicKey) (Checkpoint, error) {
	c, err := PeekCheckpoint(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	key, err := h.Key(c.Size, first)
	if err != nil {
		return Checkpoint{}, err
	}
	if c, err = OpenCheckpoint(signed, key); err != nil {
		return Checkpoint{}, err
	}
	if origin := h.Origin(c.Size); c.Origin != origin {
		return Checkpoint{}, fmt.Errorf("a checkpoint of size %d is of %s and not of %s", c.Size, c.Origin, origin)
	}
	return c, nil
}

func (h *History) changesKeyBehind(size int64) bool {
	return len(h.Keys) > 0 && h.Keys[len(h.Keys)-1].From > size
}

// signer is the public key that must have signed a size, as the log or else the key file
// says; nil if nobody knows any more, because the first key was lost before it was named.
func (c Config) signer(h *History, size int64) (ed25519.PublicKey, error) {
	key, err := h.Key(size, nil)
	if err != nil || key != nil || len(h.Keys) > 0 {
		return key, err
	}
	own, err := LoadKey(c.KeyFile)
	if err != nil {
		return nil, err
	}
	return own.Public(), nil
}

// checkNote checks that a row says what its note says, and who has signed that.
func (c Config) checkNote(h *History, row Row) error {
	key, err := c.signer(h, row.Size)
	if err != nil {
		return err
	}
	signed, err := PeekCheckpoint(row.Note)
	if key != nil {
		signed, err = h.Open(row.Note, key)
	}
	if err != nil {
		return err
	}
	if signed.Size != row.Size || signed.Root != row.Root {
		return fmt.Errorf("the checkpoint of size %d in the database is not the one that was signed", row.Size)
	}
	return nil
}
