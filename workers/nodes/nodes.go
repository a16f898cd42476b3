package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
)

// Dead is how long after it was last seen, by the clock of the database, a node counts
// as dead.
const Dead = 10 * time.Second

// Bounds of what goes wrong.
const (
	permitFor   = Dead / 2         // what others read is gone by for so long without asking again
	beatTimeout = 3 * time.Second  // of one look at the table
	joinTimeout = 30 * time.Second // longer than a node that hangs is waited for
	joinPause   = 50 * time.Millisecond
	forgetAfter = time.Hour // rows of dead nodes
)

// Config of a node. Pool, Types and Name must be given.
type Config struct {
	Pool    *pgxpool.Pool
	Types   *eventstore.Registry // that of the log this process writes with
	Name    string               // as people know it
	Home    uuid.UUID            // of the folder in which one process runs at a time; made when zero
	Version string               // of the program
	Logger  *slog.Logger
	Every   time.Duration // how often it is seen; default 1 s
	Alone   func(bool)    // told at each beat whether no other node lives; may be nil
}

// Node is a row of the table.
type Node struct {
	ID      uuid.UUID
	Name    string
	Version string
	Reads   []string // event types, sorted
	Started time.Time
	Seen    time.Time
}

// Membership is this process among the live nodes. Run it as a workers.Service.
type Membership struct {
	config Config
	id     uuid.UUID
	reads  []string
}

// Join enters this process into the table and returns when all live nodes go by what it
// reads, which takes them a second; one that hangs is waited for until it counts as dead.
// Whoever joins runs Run, or leaves.
func Join(ctx context.Context, c Config) (*Membership, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.Home == uuid.Nil {
		c.Home = uuid.New()
	}
	m := &Membership{config: c, id: uuid.Must(uuid.NewV7()), reads: c.Types.Names()}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	// A process that was killed here before is not to be waited for.
	if _, err := c.Pool.Exec(ctx, `delete from log.nodes where home = $1`, c.Home); err != nil {
		return nil, fmt.Errorf("join the other nodes: %w", err)
	}
	for beats := 1; ; beats++ {
		honoured, err := m.beat(ctx)
		// The first beat has entered it: only who looks after that sees everybody who
		// may not have seen it.
		if err == nil && honoured && beats > 1 {
			return m, nil
		}
		if err == nil && beats > 1 {
			err = sleep(ctx, joinPause)
		}
		if err != nil {
			m.Leave(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("join the other nodes: %w", err)
		}
	}
}

// ID is this process's row.
func (m *Membership) ID() uuid.UUID { return m.id }

// Name implements workers.Service.
func (m *Membership) Name() string { return "node" }

// Run implements workers.Service: it is seen, and goes by what the others read, until ctx
// ends; then it leaves. A database that does not answer is asked again.
func (m *Membership) Run(ctx context.Context) error {
	for sleep(ctx, m.config.Every) == nil {
		if _, err := m.beat(ctx); err != nil && ctx.Err() == nil {
			m.config.Logger.Warn("this node could not be seen by the others", "error", err)
		}
	}
	m.Leave(context.WithoutCancel(ctx))
	return nil
}

// Leave takes this process out of the table. If the database does not answer, the row
// dies by itself.
func (m *Membership) Leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	if _, err := m.config.Pool.Exec(ctx, `delete from log.nodes where id = $1`, m.id); err != nil {
		m.config.Logger.Warn("this node could not leave the table of nodes", "error", err)
	}
}

// beat goes by what all live nodes read from now on, then says so and that this one
// lives. It reports whether they all go by what this one reads.
func (m *Membership) beat(ctx context.Context) (honoured bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	asked := time.Now()
	rows, err := m.config.Pool.Query(ctx, `
		select id, reads, $1 = any(honours) from log.nodes
		where id <> $1 and seen_at > clock_timestamp() - $2::interval`, m.id, Dead)
	if err != nil {
		return false, err
	}
	permitted := slices.Clone(m.reads)
	others := []uuid.UUID{} // not nil, which would be null
	var id uuid.UUID
	var reads []string
	var honours bool
	honoured = true
	_, err = pgx.ForEachRow(rows, []any{&id, &reads, &honours}, func() error {
		others, honoured = append(others, id), honoured && honours
		permitted = slices.DeleteFunc(permitted, func(name string) bool { return !slices.Contains(reads, name) })
		return nil
	})
	if err != nil {
		return false, err
	}
	m.config.Types.Permit(permitted, asked.Add(permitFor))
	if m.config.Alone != nil {
		m.config.Alone(len(others) == 0)
	}
	// Others may count on it as soon as they see it, so it is said after it is done.
	_, err = m.config.Pool.Exec(ctx, `
		insert into log.nodes (id, home, name, version, reads, honours) values ($1, $2, $3, $4, $5, $6)
		on conflict (id) do update set seen_at = clock_timestamp(), honours = excluded.honours`,
		m.id, m.config.Home, m.config.Name, m.config.Version, m.reads, others)
	if err != nil {
		return false, err
	}
	_, err = m.config.Pool.Exec(ctx, `delete from log.nodes where seen_at < clock_timestamp() - $1::interval`, forgetAfter)
	return honoured, err
}

// Live lists the live nodes, the one that started first in front.
func Live(ctx context.Context, pool *pgxpool.Pool) ([]Node, error) {
	rows, err := pool.Query(ctx, `
		select id, name, version, reads, started_at, seen_at from log.nodes
		where seen_at > clock_timestamp() - $1::interval order by started_at, id`, Dead)
	if err != nil {
		return nil, fmt.Errorf("list the live nodes: %w", err)
	}
	live, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Node])
	if err != nil {
		return nil, fmt.Errorf("list the live nodes: %w", err)
	}
	return live, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
}
