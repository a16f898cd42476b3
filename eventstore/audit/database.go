package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
)

// Database is a log as it lies in its database, with the tiles on the shared home. It
// implements Source. It holds no snapshot: the log only grows.
type Database struct {
	pool   *pgxpool.Pool
	config tree.Config
	header Header

	history *tree.History
	folder  tree.Folder
	next    int64
	tile    []tlog.Hash // that the event next-1 is in
	done    bool
}

// Range is which part of the log is wanted, and whether with personal data.
type Range struct {
	From, To int64 // both included; To 0 means to the newest checkpoint, -1 to the end of the log
	Personal bool
}

// OpenDatabase prepares to read a part of a log.
func OpenDatabase(ctx context.Context, pool *pgxpool.Pool, config tree.Config, r Range) (*Database, error) {
	public, history, err := tree.PublicKey(ctx, config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	head, err := config.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	if history == nil {
		if history, err = tree.ReadHistory(ctx, config.Log); err != nil {
			return nil, err
		}
	}
	epoch := history.Epoch(head)
	d := &Database{pool: pool, config: config, history: history, folder: tree.EpochFolder(config.Dir, epoch), next: max(r.From, 1)}
	d.header = Header{Cluster: history.Cluster, From: d.next, To: r.To, Personal: r.Personal}
	newest, signed, err := config.Table.Newest(ctx, epoch)
	if err != nil {
		return nil, err
	}
	d.header.Checkpoint = newest.Note
	switch {
	case r.To < 0, r.To == 0 && !signed:
		d.header.To = head
	case r.To == 0:
		d.header.To = min(newest.Size, head)
	case r.To > head:
		return nil, fmt.Errorf("the log ends at position %d", head)
	}
	if r.To > 0 && d.header.To < newest.Size {
		// A checkpoint among the events that are given covers them; a later one does not.
		if d.header.Checkpoint, err = config.Table.NoteUpTo(ctx, epoch, d.header.To); err != nil {
			return nil, err
		}
	}
	if d.header.From > d.header.To+1 {
		return nil, fmt.Errorf("there is nothing from position %d to %d", d.header.From, d.header.To)
	}
	d.header.PublicKey = firstKey(history, public)
	return d, d.begin(newest, signed)
}

func firstKey(history *tree.History, public []byte) string {
	if len(history.Keys) > 0 {
		return history.Keys[0].Old
	}
	if public == nil {
		return ""
	}
	return tree.PublicKeyText(public)
}

// begin fills in what must be known of what comes before the part.
func (d *Database) begin(newest tree.Row, signed bool) error {
	if d.header.From == 1 {
		return nil
	}
	for _, k := range d.history.Keys {
		if k.From < d.header.From {
			d.header.Keys = append(d.header.Keys, KeyChange{k.From, k.SigningKeyChanged})
		}
	}
	for _, e := range d.history.Epochs {
		if e.From < d.header.From {
			d.header.Epochs = append(d.header.Epochs, EpochStart{e.From, e.EpochStarted})
		}
	}
	if !signed || newest.Size < d.header.From-1 {
		return fmt.Errorf("no checkpoint covers what comes before position %d yet", d.header.From)
	}
	frontier, err := d.folder.FrontierAt(tree.Checkpoint{Size: newest.Size, Root: newest.Root}, d.header.From-1)
	if err != nil {
		return fmt.Errorf("read the tiles: %w", err)
	}
	d.header.Frontier = frontier.Hashes()
	return nil
}

// Header implements Source.
func (d *Database) Header() Header { return d.header }

// A page from the database has up to this many events, and fewer where they are large.
const (
	pageEvents = 1000
	pageBytes  = 8 << 20
)

// Next implements Source.
func (d *Database) Next(ctx context.Context) (*Page, error) {
	if d.done {
		return nil, io.EOF
	}
	page := &Page{}
	if d.next <= d.header.To {
		if err := d.read(ctx, page); err != nil {
			return nil, err
		}
	}
	if len(page.Entries) == 0 || d.next > d.header.To {
		d.done, page.Last = true, true
	}
	return page, nil
}

func (d *Database) read(ctx context.Context, page *Page) error {
	first := d.next
	rows, err := d.pool.Query(ctx, `
		select position, version, at, id, stream, type, body::text, meta::text from log.events
		where position between $1 and $2 order by position limit $3`, first, d.header.To, pageEvents)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer rows.Close()
	size, positions := 0, map[int64]int{}
	for size < pageBytes && rows.Next() {
		var s eventstore.Stored
		var stream, kind string
		var body, meta []byte
		var id uuid.UUID
		var at time.Time
		if err := rows.Scan(&s.Position, &s.Version, &at, &id, &stream, &kind, &body, &meta); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		s.At, s.ID, s.Stream, s.Type, s.Body, s.Meta = at, id.String(), domain.Stream(stream), kind, body, meta
		leaf := s.AppendLeaf(make([]byte, 0, len(body)+len(meta)+256))
		positions[s.Position] = len(page.Entries)
		page.Entries = append(page.Entries, Entry{Position: s.Position, Leaf: leaf})
		size += len(leaf)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if len(page.Entries) == 0 {
		return nil
	}
	d.next = page.Entries[len(page.Entries)-1].Position + 1
	if err := d.hashes(page); err != nil {
		return err
	}
	if d.header.Personal {
		if err := d.personal(ctx, page, positions, first, d.next-1); err != nil {
			return err
		}
	}
	return d.notes(ctx, page, first)
}

// hashes adds what the tiles have of each event.
func (d *Database) hashes(page *Page) error {
	if d.header.Checkpoint == "" {
		return nil
	}
	c, err := tree.PeekCheckpoint(d.header.Checkpoint)
	if err != nil {
		return nil // the verifier says so
	}
	for i := range page.Entries {
		e := &page.Entries[i]
		index := e.Position - 1
		if index >= c.Size {
			return nil
		}
		if i == 0 || index%tree.TileWidth == 0 || d.tile == nil {
			d.tile, err = d.folder.Tile(0, index/tree.TileWidth, int(min(tree.TileWidth, c.Size-index/tree.TileWidth*tree.TileWidth)))
			if err != nil {
				d.tile = nil
				return &InputError{e.Position - 1, fmt.Errorf("the tile of event %d cannot be read", e.Position)}
			}
		}
		e.Hash, e.Hashed = d.tile[index%tree.TileWidth], true
	}
	return nil
}

func (d *Database) personal(ctx context.Context, page *Page, positions map[int64]int, first, last int64) error {
	rows, err := d.pool.Query(ctx, `
		select position, part, subject, salt, data from log.personal where position between $1 and $2 order by position, part`, first, last)
	if err != nil {
		return fmt.Errorf("read personal data: %w", err)
	}
	var position int64
	var p PersonalData
	_, err = pgx.ForEachRow(rows, []any{&position, &p.Part, &p.Subject, &p.Salt, &p.Data}, func() error {
		if i, ok := positions[position]; ok {
			page.Entries[i].Personal = append(page.Entries[i].Personal, p)
			p.Salt, p.Data = nil, nil
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read personal data: %w", err)
	}
	return nil
}

// notes adds the checkpoints that were signed among a page's events. Those of an earlier
// epoch that are no part of this one are left out.
func (d *Database) notes(ctx context.Context, page *Page, first int64) error {
	rows, err := d.config.Table.Between(ctx, first, d.next-1)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Epoch != d.history.Epoch(r.Size) {
			continue
		}
		after := 0
		for after < len(page.Entries) && page.Entries[after].Position <= r.Size {
			after++
		}
		page.Notes = append(page.Notes, Note{After: after, Signed: r.Note})
	}
	return nil
}
