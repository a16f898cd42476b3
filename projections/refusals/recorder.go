package refusals

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// Limits of what is written down.
const (
	// MaxWaiting is how many refusals wait to be written, below 1 KiB each.
	MaxWaiting = 1000
	// MaxOfAddress is how many refusals of one address are written with one batch.
	MaxOfAddress = 50
	// MaxRows is how many refusals are kept, whatever their age.
	MaxRows = 1_000_000

	maxText = 255 // bytes of each text
)

// How often is written, and how often old rows are removed.
const (
	every     = time.Second
	tidyEvery = time.Minute
	timeout   = 10 * time.Second
)

// Kind is what kind of refusal one is.
type Kind string

// The kinds.
const (
	LogIn      Kind = "login"      // name, password, token or key did not let in
	Permission Kind = "permission" // somebody lacks a permission
	Rule       Kind = "rule"       // a branch permission or push rule
	Dropped    Kind = "dropped"    // refusals that were too many to be written down
)

// Refusal is one thing that was refused.
type Refusal struct {
	At     time.Time
	Kind   Kind
	User   domain.UserID // 0: nobody who is known
	Name   string        // that was tried; it is never written down itself
	Target access.Target // zero for the whole installation, and for log-ins
	Need   string        // the permission or the rule
	Ref    string        // that a rule kept from moving
	domain.Metadata
}

// Config is what a Recorder needs.
type Config struct {
	Pool *pgxpool.Pool // made by eventstore.Connect
	Key  []byte        // of the hashes of names; secret, and the same on every node
	Keep time.Duration // how long refusals are kept
	Log  *slog.Logger
	// Dropped, if set, is told how many refusals were dropped.
	Dropped func(n int)
	Every   time.Duration // how often is written; default one second
}

// Recorder writes refusals down, in batches and never in anybody's way: what comes too fast is
// counted only. It is a workers.Service.
type Recorder struct {
	Config

	mu      sync.Mutex // guards what follows
	waiting []row
	of      map[string]int // rows that wait, by address
	dropped int
}

type row struct {
	at                          time.Time
	kind                        Kind
	user, project, repository   *int64
	name                        string
	hash                        []byte // of the name
	address, need, ref, request string
	times                       int64
}

// NewRecorder makes a Recorder, which writes nothing before it runs.
func NewRecorder(c Config) *Recorder {
	if c.Every == 0 {
		c.Every = every
	}
	return &Recorder{Config: c, of: map[string]int{}}
}

// Name implements workers.Service.
func (r *Recorder) Name() string { return "refusals" }

// Record takes a refusal to be written down soon, or counts it if there are too many.
func (r *Recorder) Record(refusal Refusal) {
	made := row{
		at: refusal.At, kind: refusal.Kind, user: nullable(refusal.User), project: nullable(refusal.Target.Project), repository: nullable(refusal.Target.Repository),
		address: clip(refusal.Address), need: clip(refusal.Need), ref: clip(refusal.Ref), request: clip(refusal.RequestID), times: 1,
	}
	if refusal.User == 0 && refusal.Name != "" {
		made.name, made.hash = clip(refusal.Name), r.HashName(refusal.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) >= MaxWaiting || r.of[made.address] >= MaxOfAddress {
		r.dropped++
		return
	}
	r.of[made.address]++
	r.waiting = append(r.waiting, made)
}

// HashName is what is kept of a name that no user has: the same for the same name, whatever its
// case, and nothing that the name can be found by without the key.
func (r *Recorder) HashName(name string) []byte {
	mac := hmac.New(sha256.New, r.Key)
	mac.Write([]byte("refusals.name:" + strings.ToLower(name)))
	return mac.Sum(nil)[:16]
}

// Run implements workers.Service: it writes until ctx ends, and then the rest.
func (r *Recorder) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.Every)
	defer ticker.Stop()
	var last time.Time
	for {
		select {
		case <-ticker.C:
			r.write(ctx)
			if time.Since(last) >= tidyEvery {
				last = time.Now()
				r.tidy(ctx)
			}
		case <-ctx.Done():
			r.write(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// write writes what waits. What cannot be written is counted as dropped.
func (r *Recorder) write(ctx context.Context) {
	r.mu.Lock()
	rows, dropped := r.waiting, r.dropped
	r.waiting, r.dropped = nil, 0
	clear(r.of)
	r.mu.Unlock()
	if dropped > 0 {
		rows = append(rows, row{at: time.Now(), kind: Dropped, times: int64(dropped)})
		r.tell(dropped)
	}
	if len(rows) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := r.insert(ctx, rows); err != nil {
		r.Log.WarnContext(ctx, "refusals were not written down", "error", err)
		lost := 0
		for _, row := range rows {
			lost += int(row.times)
		}
		r.mu.Lock()
		r.dropped += lost
		r.mu.Unlock()
	}
}

func (r *Recorder) tell(dropped int) {
	if r.Config.Dropped != nil {
		r.Config.Dropped(dropped)
	}
}

// insert leaves out who has been erased meanwhile, and keeps of names only those that users have.
func (r *Recorder) insert(ctx context.Context, rows []row) error {
	n := len(rows)
	at, kind, times := make([]time.Time, n), make([]string, n), make([]int64, n)
	user, project, repository, hash := make([]*int64, n), make([]*int64, n), make([]*int64, n), make([][]byte, n)
	name, address, need, ref, request := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, w := range rows {
		at[i], kind[i], times[i] = w.at, string(w.kind), w.times
		user[i], project[i], repository[i], hash[i] = w.user, w.project, w.repository, w.hash
		name[i], address[i], need[i], ref[i], request[i] = w.name, w.address, w.need, w.ref, w.request
	}
	_, err := r.Pool.Exec(ctx, `
		insert into access.refusals (at, kind, user_id, name_hash, address, project, repository, need, ref, request, times)
		select n.at, n.kind, coalesce(n.user_id, u.id), case when u.id is null then n.hash end, n.address, n.project, n.repository, n.need, n.ref, n.request, n.times
		from unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::text[])
			with ordinality as n (at, kind, user_id, hash, address, project, repository, need, ref, request, times, name, number)
		left join access.users u on n.user_id is null and n.name <> '' and lower(u.name) = lower(n.name)
		where not exists (select from access.users u where u.id = n.user_id and u.name = '-erased-' || u.id)
		order by n.number`,
		at, kind, user, hash, address, project, repository, need, ref, request, times, name)
	return err
}

// tidied is how many rows one statement removes.
const tidied = 10_000

// tidy removes what is too old, and the oldest of what is too much.
func (r *Recorder) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	oldest := time.Now().Add(-r.Keep)
	for _, remove := range []struct {
		condition string
		limit     any
	}{
		{`where at < $1 order by at`, oldest},
		{`where id <= (select max(id) from access.refusals) - $1 order by id`, MaxRows},
	} {
		for gone := int64(tidied); gone == tidied; {
			done, err := r.Pool.Exec(ctx, `delete from access.refusals where id in (select id from access.refusals `+remove.condition+` limit $2)`, remove.limit, tidied)
			if err != nil {
				if ctx.Err() == nil {
					r.Log.WarnContext(ctx, "old refusals were not removed", "error", err)
				}
				return
			}
			gone = done.RowsAffected()
		}
	}
}

func nullable[T ~int64](id T) *int64 {
	if id == 0 {
		return nil
	}
	return new(int64(id))
}

// clip makes a text one that a database takes.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
}

// ParseKind reads a kind's name. The error is a *domain.InvalidError.
func ParseKind(name string) (Kind, error) {
	switch k := Kind(strings.ToLower(name)); k {
	case LogIn, Permission, Rule, Dropped:
		return k, nil
	}
	return "", domain.Invalid("kind", "There are refusals of the kinds %s, %s, %s and %s.", LogIn, Permission, Rule, Dropped)
}

func failed(err error) error { return fmt.Errorf("list refusals: %w", err) }
