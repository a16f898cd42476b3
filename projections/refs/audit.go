package refs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/audit"
)

// Compare compares the rows of refs, together with what the log holds behind them, with
// the fold of the log that an audit has made. What differs is noted in the fold.
func Compare(ctx context.Context, pool *pgxpool.Pool, types *eventstore.Registry, fold *audit.RefsFold) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var followed int64
		err := tx.QueryRow(ctx, `select coalesce((select position from projections.checkpoints where projection = 'refs'), 0)`).Scan(&followed)
		if err != nil {
			return fmt.Errorf("read how far refs have followed the log: %w", err)
		}
		// Rows behind the fold are what they are and what the log has behind them; rows
		// before it are compared with the fold moved on.
		behind := map[refKey]git.ObjectID{}
		err = pushes(ctx, tx, types, min(followed, fold.Position()), max(followed, fold.Position()), func(position int64, id domain.RepositoryID, e repository.RefsUpdated) {
			if followed > fold.Position() {
				fold.Push(position, id, e)
				return
			}
			for _, u := range e.Updates {
				behind[refKey{id, u.Name}] = u.New
			}
		})
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select repository, name, id from refs.refs`)
		if err != nil {
			return fmt.Errorf("read refs: %w", err)
		}
		var key refKey
		var id []byte
		_, err = pgx.ForEachRow(rows, []any{&key.repository, &key.name, &id}, func() error {
			if _, later := behind[key]; !later {
				fold.Found(key.repository, key.name, git.ObjectID(id))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read refs: %w", err)
		}
		for key, id := range behind {
			if !id.IsZero() {
				fold.Found(key.repository, key.name, id)
			}
		}
		fold.Finish()
		return nil
	})
}

// pushes yields the pushes behind a position, up to another.
func pushes(ctx context.Context, tx pgx.Tx, types *eventstore.Registry, after, to int64, yield func(int64, domain.RepositoryID, repository.RefsUpdated)) error {
	rows, err := tx.Query(ctx, `
		select position, stream, type, body::text from log.events
		where position > $1 and position <= $2 and type like 'repository.refs_updated.%' order by position`, after, to)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	var position int64
	var stream, name, body string
	_, err = pgx.ForEachRow(rows, []any{&position, &stream, &name, &body}, func() error {
		event, err := types.Decode(name, []byte(body), nil)
		if err != nil {
			return err
		}
		id, ok := repositoryOf(domain.Stream(stream))
		if push, is := event.(repository.RefsUpdated); ok && is {
			yield(position, id, push)
		}
		return nil
	})
	return err
}
