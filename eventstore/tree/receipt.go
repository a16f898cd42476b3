package tree

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gowebpki/jcs"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore"
)

// Receipt proves to anybody who has the public key, without any server, that an event is
// in the log. It holds no personal data and no salts.
type Receipt struct {
	Annal      string                      `json:"annal"` // "receipt"
	Version    int                         `json:"version"`
	Position   int64                       `json:"position"`
	Event      json.RawMessage             `json:"event"` // the leaf; canonical JSON, which may be reformatted
	Proof      []tlog.Hash                 `json:"proof"` // RFC 6962, section 2.1.1
	Checkpoint string                      `json:"checkpoint"`
	Keys       []cluster.SigningKeyChanged `json:"keys,omitempty"` // changes of the signing key before the checkpoint
}

const receiptMark, receiptVersion = "receipt", 1

// NotCoveredError says that an event is not covered by a checkpoint yet.
type NotCoveredError struct{ Position, Size int64 }

func (e *NotCoveredError) Error() string {
	return fmt.Sprintf("the newest checkpoint covers %d events; event %d is not covered yet", e.Size, e.Position)
}

// NewReceipt makes the receipt of an event against a checkpoint whose signature has been
// checked. The error is a *NotCoveredError if it does not cover the event.
func NewReceipt(folder Folder, history *History, signed string, event eventstore.Stored) (*Receipt, error) {
	c, err := PeekCheckpoint(signed)
	if err != nil {
		return nil, err
	}
	if event.Position > c.Size {
		return nil, &NotCoveredError{event.Position, c.Size}
	}
	proof, err := folder.ProveEvent(c, event.Position)
	if err != nil {
		return nil, err
	}
	leaf := event.AppendLeaf(nil)
	if err := tlog.CheckRecord(proof, c.Size, c.Root, event.Position-1, tlog.Hash(eventstore.LeafHash(leaf))); err != nil {
		return nil, fmt.Errorf("event %d is not the one that was signed: %w", event.Position, err)
	}
	r := &Receipt{Annal: receiptMark, Version: receiptVersion, Position: event.Position, Event: leaf, Proof: proof, Checkpoint: signed}
	for _, k := range history.Keys {
		if k.From <= c.Size {
			r.Keys = append(r.Keys, k.SigningKeyChanged)
		}
	}
	return r, nil
}

// maxReceipt is the largest receipt that is read, in bytes.
const maxReceipt = 64 << 20

// ParseReceipt reads a receipt.
func ParseReceipt(data []byte) (*Receipt, error) {
	if len(data) > maxReceipt {
		return nil, fmt.Errorf("a receipt has no more than %d bytes", maxReceipt)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var r Receipt
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("this is no receipt: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("something follows the receipt")
	}
	if r.Annal != receiptMark || r.Version != receiptVersion {
		return nil, fmt.Errorf("this is no receipt of version %d", receiptVersion)
	}
	leaf, err := jcs.Transform(r.Event)
	if err != nil {
		return nil, fmt.Errorf("the event of the receipt is not JSON: %w", err)
	}
	r.Event = leaf
	return &r, nil
}

// Check checks the receipt against a public key that its reader trusts: the one that
// signed, or one before it that vouches for it. The checkpoint it returns is the state of
// the log that the event is a part of.
func (r *Receipt) Check(trusted ed25519.PublicKey) (Checkpoint, error) {
	c, err := PeekCheckpoint(r.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	cluster, _, err := ParseOrigin(c.Origin)
	if err != nil {
		return Checkpoint{}, err
	}
	key := trusted
	for _, change := range r.Keys {
		old, err := ParsePublicKey(change.Old)
		if err != nil {
			return Checkpoint{}, err
		}
		if !old.Equal(key) {
			continue // before the one that is trusted
		}
		next, err := ParsePublicKey(change.New)
		if err != nil {
			return Checkpoint{}, err
		}
		if err := CheckVouch(cluster, change.Vouch, old, next); err != nil {
			return Checkpoint{}, err
		}
		key = next
	}
	if _, err := OpenCheckpoint(r.Checkpoint, key); err != nil {
		return Checkpoint{}, err
	}
	if r.Position < 1 || r.Position > c.Size {
		return Checkpoint{}, &NotCoveredError{r.Position, c.Size}
	}
	if err := tlog.CheckRecord(r.Proof, c.Size, c.Root, r.Position-1, tlog.Hash(eventstore.LeafHash(r.Event))); err != nil {
		return Checkpoint{}, fmt.Errorf("the event is not the one at position %d of the signed log: %w", r.Position, err)
	}
	return c, nil
}
