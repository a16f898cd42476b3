package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// Partition is a range of the log that lies in a table of its own, log.events_FIRST.
type Partition struct {
	First      int64  `json:"first"` // positions, both included
	Last       int64  `json:"last"`
	Events     int64  `json:"events"`     // fewer than positions only in the newest ones
	Bytes      int64  `json:"bytes"`      // on the database's disk, with indexes
	Tablespace string `json:"tablespace"` // where it lies; new ones lie in that of the database
}

// Partitions lists the partitions of the log, oldest first.
func Partitions(ctx context.Context, pool *pgxpool.Pool) ([]Partition, error) {
	rows, err := pool.Query(ctx, `
		select p.first, p.last, greatest(least(p.last, h.head) - p.first + 1, 0), pg_total_relation_size(c.oid),
			coalesce(s.spcname, (select d.spcname from pg_tablespace d join pg_database b on b.dattablespace = d.oid where b.datname = current_database()))
		from log.partitions p
		join pg_class c on c.relnamespace = 'log'::regnamespace and c.relname = 'events_' || p.first
		left join pg_tablespace s on s.oid = c.reltablespace
		cross join (`+headQuery+` as head) h
		order by p.first`)
	if err != nil {
		return nil, fmt.Errorf("list the log's partitions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Partition])
	if err != nil {
		return nil, fmt.Errorf("list the log's partitions: %w", err)
	}
	return list, nil
}

// Bounds of moving a partition.
const (
	moveSlice   = 100_000 // events copied by one statement
	swapPause   = 2 * time.Second
	swapTimeout = `250ms` // how long a try may hold up the log's readers and writers

	moveLock = appendLock + 1 // of the session that moves
)

// Move is an order to move a partition of the log into another tablespace.
type Move struct {
	First      int64 // position that the partition begins at
	Sealed     int64 // size of a signed checkpoint that was verified: the partition must lie below it
	Tablespace string
	Patience   time.Duration         // how long to wait for a moment in which no other transaction uses the log
	Progress   func(done, all int64) // told how many events are copied; may be nil
}

// MovePartition carries out a move while the log is read and appended to: what changes no
// more can be copied without a lock, and only to put the copy in the place of the original
// the log stands still for some milliseconds.
//
// After an error the partition lies where it lay, unless the connection was lost in the
// swap's commit: Partitions tells. *BusyError says that there was no moment to swap.
func MovePartition(ctx context.Context, pool *pgxpool.Pool, order Move) error {
	p, err := movable(ctx, pool, order.First, order.Sealed)
	if err != nil || p.Tablespace == order.Tablespace {
		return err
	}
	conn, err := dialOwner(ctx, pool)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	var alone bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1)`, int64(moveLock)).Scan(&alone); err != nil {
		return err
	}
	if !alone {
		return errors.New("another partition is being moved")
	}
	m := move{Partition: p, order: order, live: fmt.Sprint("events_", p.First), copy: fmt.Sprintf("events_%d_moved", p.First)}
	defer m.remove(ctx, conn)
	m.remove(ctx, conn) // what a move left that was killed
	if err := m.fill(ctx, pool, conn); err != nil {
		return fmt.Errorf("copy partition %d: %w", p.First, err)
	}
	return m.swap(ctx, conn)
}

// movable finds a partition that will never change again.
func movable(ctx context.Context, pool *pgxpool.Pool, first, sealed int64) (Partition, error) {
	list, err := Partitions(ctx, pool)
	if err != nil {
		return Partition{}, err
	}
	for i, p := range list {
		switch {
		case p.First != first:
			continue
		case i == len(list)-1 || p.Events < p.Last-p.First+1:
			return p, fmt.Errorf("partition %d is still being filled: %d of %d events", first, p.Events, p.Last-p.First+1)
		case p.Last > sealed:
			return p, fmt.Errorf("partition %d is not sealed: a checkpoint is signed up to position %d, and it ends at %d", first, sealed, p.Last)
		}
		return p, nil
	}
	return Partition{}, fmt.Errorf("no partition of the log begins at position %d", first)
}

// dialOwner connects as the owner of the log, who makes and drops its tables.
func dialOwner(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	conn, err := dial(ctx, pool)
	if err != nil {
		return nil, err
	}
	var owner string
	if _, err = conn.Exec(ctx, `reset role`); err == nil {
		err = conn.QueryRow(ctx, `select quote_ident(pg_get_userbyid(relowner)) from pg_class where oid = 'log.events'::regclass`).Scan(&owner)
	}
	if err == nil {
		_, err = conn.Exec(ctx, `set role `+owner)
	}
	if err != nil {
		hangUp(conn)
		return nil, fmt.Errorf("work with the rights of the log's owner: %w", err)
	}
	return conn, nil
}

// move is a partition under way. Its names are safe to put into SQL.
type move struct {
	Partition
	order      Move
	live, copy string
}

// fill makes the copy. Its rows are frozen: they are seen by transactions that are older
// than the copy, too, and no vacuum has to look at them again.
func (m move) fill(ctx context.Context, pool *pgxpool.Pool, conn *pgx.Conn) error {
	source, err := dialOwner(ctx, pool)
	if err != nil {
		return err
	}
	defer hangUp(source)
	place := pgx.Identifier{m.order.Tablespace}.Sanitize()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // fails once it is committed
	_, err = tx.Exec(ctx, fmt.Sprintf(`create table log.%s (like log.events including comments, check (position between %d and %d)) tablespace %s`,
		m.copy, m.First, m.Last, place))
	if err != nil {
		return err
	}
	for from := m.First; from <= m.Last; from += moveSlice {
		to := min(from+moveSlice-1, m.Last)
		if err := m.copySlice(ctx, source, conn, from, to); err != nil {
			return err
		}
		if progress := m.order.Progress; progress != nil {
			progress(to-m.First+1, m.Events)
		}
	}
	for _, statement := range []string{
		`alter table log.%[1]s add constraint %[1]s_pkey primary key (position) using index tablespace %[2]s`,
		`create unique index %[1]s_stream on log.%[1]s (stream, version) tablespace %[2]s`,
		`create index %[1]s_settings on log.%[1]s (stream, version) tablespace %[2]s where type <> 'repository.refs_updated.v1'`,
		`create trigger events_append_only before update or delete or truncate on log.%[1]s for each statement execute function log.refuse_change()`,
		`analyze log.%[1]s`,
	} {
		if _, err := tx.Exec(ctx, fmt.Sprintf(statement+` -- in %[2]s`, m.copy, place)); err != nil {
			return err
		}
	}
	var equal bool
	const sum = `(select row(count(*), sum(hashtextextended(e::text, 0))) from log.%s e)`
	if err := tx.QueryRow(ctx, fmt.Sprintf(`select `+sum+` = `+sum, m.live, m.copy)).Scan(&equal); err != nil {
		return err
	}
	if !equal {
		return errors.New("the copy does not equal the original")
	}
	return tx.Commit(ctx)
}

// copySlice copies some events from one connection to another.
func (m move) copySlice(ctx context.Context, from, to *pgx.Conn, first, last int64) error {
	const columns = `position, version, at, id, stream, type, body, meta`
	r, w := io.Pipe()
	copying, ctx := errgroup.WithContext(ctx)
	copying.Go(func() error {
		_, err := from.PgConn().CopyTo(ctx, w, fmt.Sprintf(
			`copy (select %s from log.%s where position between %d and %d order by position) to stdout (format binary)`, columns, m.live, first, last))
		_ = w.CloseWithError(err) // never fails
		return err
	})
	copying.Go(func() error {
		_, err := to.PgConn().CopyFrom(ctx, r, fmt.Sprintf(`copy log.%s (%s) from stdin (format binary, freeze)`, m.copy, columns))
		_ = r.CloseWithError(err) // never fails
		return err
	})
	return copying.Wait()
}

// swap puts the copy in the place of the original. It waits only for moments, for whoever
// comes behind it in the queue waits, too.
func (m move) swap(ctx context.Context, conn *pgx.Conn) error {
	patience := time.Now().Add(m.order.Patience)
	for {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, fmt.Sprintf(`
				set local lock_timeout = '`+swapTimeout+`';
				lock table log.events in access exclusive mode;
				alter table log.events detach partition log.%[1]s;
				drop table log.%[1]s;
				alter table log.%[2]s rename to %[1]s;
				alter index log.%[2]s_pkey rename to %[1]s_pkey;
				alter index log.%[2]s_stream rename to %[1]s_stream;
				alter index log.%[2]s_settings rename to %[1]s_settings;
				alter table log.events attach partition log.%[1]s for values from (%[3]d) to (%[4]d)`,
				m.live, m.copy, m.First, m.Last+1))
			return err
		})
		const lockNotAvailable = "55P03"
		var busy *pgconn.PgError
		if !errors.As(err, &busy) || busy.Code != lockNotAvailable {
			return err
		}
		if time.Now().Add(swapPause).After(patience) {
			return &BusyError{m.First}
		}
		pause(ctx, swapPause)
	}
}

// remove drops a copy that did not take its place.
func (m move) remove(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, `drop table if exists log.`+m.copy) // the next move tries again
}

// BusyError says that a partition was not moved because the log was in use, without a
// break, for longer than a swap waits.
type BusyError struct{ First int64 }

func (e *BusyError) Error() string {
	return fmt.Sprintf("partition %d stays where it is: a long transaction, such as a dump, uses the log; move it when that has ended", e.First)
}
