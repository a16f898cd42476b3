package audit

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain/cluster"
)

// Source yields a log, or a part of it.
type Source interface {
	// Header says what will come.
	Header() Header
	// Next returns the next page; io.EOF behind the last. An *InputError says that what
	// comes next cannot be read.
	Next(ctx context.Context) (*Page, error)
}

// Header says what a source holds.
type Header struct {
	Cluster string `json:"cluster"`
	From    int64  `json:"from"` // position of the first event
	To      int64  `json:"to"`   // of the last; 0 if it is known only at the end
	// Personal says that personal data comes with the events it belongs to, but for what
	// was erased.
	Personal bool `json:"personal"`
	// Checkpoint is the newest that covers it, as signed.
	Checkpoint string `json:"checkpoint"`
	// Keys are the changes of the signing key, and Epochs the starts of epochs, before From.
	Keys   []KeyChange  `json:"keys,omitempty"`
	Epochs []EpochStart `json:"epochs,omitempty"`
	// Frontier is that of the tree before From, largest subtree first.
	Frontier []tlog.Hash `json:"frontier,omitempty"`
	// PublicKey is the first key, or what the source says that it is: only as good as the
	// way by which it came.
	PublicKey string `json:"publicKey,omitempty"`
}

// KeyChange is a change of the signing key at a position.
type KeyChange struct {
	Position int64 `json:"position"`
	cluster.SigningKeyChanged
}

// EpochStart is the start of an epoch at a position.
type EpochStart struct {
	Position int64 `json:"position"`
	cluster.EpochStarted
}

// Page is some events in order, and the checkpoints that were signed among them. It is
// the parsing's to fill in: a source need only have its raw bytes.
type Page struct {
	Entries []Entry
	Notes   []Note
	// Parse fills in Entries and Notes, if they are not filled in yet. It is called on any
	// goroutine.
	Parse func(*Page) error
	// TreeOnly says that personal data need not be filled in.
	TreeOnly bool
	// Last says that nothing follows, as the source itself says.
	Last bool

	rows []PersonalData // room that the entries share
	room []byte
}

// Entry is one event.
type Entry struct {
	Position int64
	Leaf     []byte    // as eventstore.Stored.AppendLeaf writes it
	Hash     tlog.Hash // that the tiles have of it
	Hashed   bool      // false if they do not cover it
	Personal []PersonalData
}

// PersonalData is a row of log.personal.
type PersonalData struct {
	Part    string // "event" or "origin"
	Subject int64
	Salt    []byte
	Data    []byte
}

// Note is a signed checkpoint that comes behind the first events of its page.
type Note struct {
	After  int // how many of the page's entries come before it
	Signed string
}

// InputError says that what was given cannot be read, and behind which position.
type InputError struct {
	Position int64 // the last that was read
	Err      error
}

func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *InputError) Unwrap() error { return e.Err }
