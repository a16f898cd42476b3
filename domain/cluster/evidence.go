package cluster

import "github.com/annal-git/annal/domain"

// SigningKeyChanged introduces the key that signs checkpoints of the log from the size at
// which this event is in its tree.
type SigningKeyChanged struct {
	Old string `json:"old"` // public key, Ed25519, base64
	New string `json:"new"`
	// Vouch is New, signed by Old (C2SP signed note); empty if Old was lost, and then
	// nothing but this event speaks for New.
	Vouch string `json:"vouch,omitempty"`
}

// EventType implements domain.Event.
func (SigningKeyChanged) EventType() string { return "cluster.signing_key_changed.v1" }

// EpochStarted begins a new epoch of the log's tree. An operator starts one when the log
// is not what its newest checkpoint signed any more: it was restored to an older state.
type EpochStarted struct {
	Epoch      int64  `json:"epoch"` // from 2: a log begins in epoch 1
	Reason     string `json:"reason"`
	Checkpoint string `json:"checkpoint"` // the newest of the epoch before, as signed
	// Cut is how many events, from the first, the log has in common with Checkpoint, and
	// CutRoot the root of the tree over them, base64.
	Cut     int64  `json:"cut"`
	CutRoot string `json:"cutRoot"`
	// OldProof proves that Checkpoint's tree begins with that of the cut, and NewProof
	// that the tree over all events before this one does (RFC 6962, section 2.1.2; hashes
	// in base64). OldProof is empty if the old tree's tiles were lost.
	OldProof []string `json:"oldProof,omitempty"`
	NewProof []string `json:"newProof,omitempty"`
}

// EventType implements domain.Event.
func (EpochStarted) EventType() string { return "cluster.epoch_started.v1" }

var _ = []domain.Event{SigningKeyChanged{}, EpochStarted{}}
