package tree

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
)

// Receipts answers what is asked about the tree of a running installation.
type Receipts struct{ config Config }

// NewReceipts makes Receipts.
func NewReceipts(config Config) *Receipts { return &Receipts{config} }

// Checkpoint is the newest, its signature checked; "" if there is none yet.
func (r *Receipts) Checkpoint(ctx context.Context) (string, error) {
	row, _, err := r.newest(ctx)
	return row.Note, err
}

func (r *Receipts) newest(ctx context.Context) (Row, *History, error) {
	history, err := ReadHistory(ctx, r.config.Log)
	if err != nil {
		return Row{}, nil, err
	}
	head, err := r.config.Log.Head(ctx)
	if err != nil {
		return Row{}, nil, err
	}
	row, found, err := r.config.Table.Newest(ctx, history.Epoch(head))
	if err != nil || !found {
		return Row{}, history, err
	}
	return row, history, r.config.checkNote(history, row)
}

// Receipt makes the receipt of an event. Errors are *domain.NotFoundError if there is no
// such event and *NotCoveredError as of Prove.
func (r *Receipts) Receipt(ctx context.Context, position int64) (*Receipt, error) {
	event, found, err := r.config.Log.ReadEvent(ctx, position)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, domain.NotFound("event", "There is no event %d.", position)
	}
	return r.Prove(ctx, event)
}

// patience is how long the checkpoint of a new event is waited for: it is signed within
// about a second.
const (
	patience = 3 * time.Second
	look     = 50 * time.Millisecond // between looks at whether it is there
)

// Prove makes the receipt of an event that was read from the log. The error is a
// *NotCoveredError if no checkpoint covers it, and none does within a few seconds.
func (r *Receipts) Prove(ctx context.Context, event eventstore.Stored) (*Receipt, error) {
	given, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		row, history, err := r.newest(ctx)
		if err != nil {
			return nil, err
		}
		if row.Size < event.Position {
			select {
			case <-ticker.C:
				continue
			case <-given.Done():
				return nil, &NotCoveredError{event.Position, row.Size}
			}
		}
		receipt, err := NewReceipt(EpochFolder(r.config.Dir, row.Epoch), history, row.Note, event)
		if errors.Is(err, fs.ErrNotExist) {
			// The partial tiles of a checkpoint go when two newer ones have been published.
			again, _, newestErr := r.newest(ctx)
			if newestErr == nil && again.Size > row.Size {
				continue
			}
		}
		return receipt, err
	}
}

// File reads a file of the tree in its newest epoch. The error is a *domain.NotFoundError
// if there is none.
func (r *Receipts) File(path Path) ([]byte, error) {
	epoch, err := NewestEpoch(r.config.Dir)
	if err != nil {
		return nil, err
	}
	data, err := EpochFolder(r.config.Dir, epoch).Read(path.String())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, domain.NotFound("tile", "There is no such tile.")
	}
	return data, err
}

// SignedKey is a public key and from which size of the log on it signs.
type SignedKey struct {
	From        int64  `json:"from"`
	Public      string `json:"public"`          // base64
	VerifierKey string `json:"verifierKey"`     // as tools take it that read C2SP notes
	Vouch       string `json:"vouch,omitempty"` // of the key before; absent for the first, and where that was lost
}

// Keys lists all keys that have signed, the first first.
func (r *Receipts) Keys(ctx context.Context) ([]SignedKey, error) {
	current, history, err := PublicKey(ctx, r.config)
	if err != nil {
		return nil, err
	}
	var list []SignedKey
	add := func(from int64, public, vouch string) {
		if key, err := ParsePublicKey(public); err == nil {
			list = append(list, SignedKey{from, public, VerifierKey(history.Origin(from), key), vouch})
		}
	}
	if len(history.Keys) == 0 {
		add(1, PublicKeyText(current), "")
	}
	for i, change := range history.Keys {
		if i == 0 {
			add(1, change.Old, "")
		}
		add(change.From, change.New, change.Vouch)
	}
	return list, nil
}
