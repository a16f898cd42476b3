package projections

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/annal-git/annal/domain"
)

const (
	foldRange = 16_384 // events a worker takes at once
	foldPage  = 4096   // events read at once
)

// errTooLarge says that the rows do not fit into memory.
var errTooLarge = errors.New("the rows take too much memory")

// fold fills the empty tables of the copy with what the log makes of them up to a
// position. Workers take one range after the other.
func (c *construction) fold(ctx context.Context, folder Folder, to int64) error {
	ranges := int((to + foldRange - 1) / foldRange)
	next, done := atomic.Int64{}, atomic.Int64{}
	folded := make([]chan Fold, ranges) // room for one
	for i := range folded {
		folded[i] = make(chan Fold, 1)
	}
	// Folds wait for those of the ranges before them; so many may.
	ahead := make(chan struct{}, 2*c.Workers)
	working, ctx := errgroup.WithContext(ctx)
	for range c.Workers {
		working.Go(func() error {
			writer := &foldWriter{construction: c}
			defer writer.close()
			for {
				if !folder.Independent() {
					select {
					case ahead <- struct{}{}:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				i := int(next.Add(1)) - 1
				if i >= ranges {
					return nil
				}
				fold, err := c.foldRange(ctx, folder, int64(i)*foldRange, min(int64(i+1)*foldRange, to), &done, to)
				if err != nil {
					return err
				}
				if !folder.Independent() {
					folded[i] <- fold
					continue
				}
				if err := writer.write(ctx, fold); err != nil {
					return err
				}
			}
		})
	}
	all := folder.NewFold()
	if !folder.Independent() {
		working.Go(func() error {
			for i := range folded {
				select {
				case later := <-folded[i]:
					all.Merge(later)
					<-ahead
				case <-ctx.Done():
					return ctx.Err()
				}
				if all.Bytes() > c.Bytes {
					return errTooLarge
				}
			}
			return nil
		})
	}
	if err := working.Wait(); err != nil || folder.Independent() {
		return err
	}
	writer := &foldWriter{construction: c}
	defer writer.close()
	return writer.write(context.WithoutCancel(ctx), all)
}

// foldRange folds the events behind one position up to another.
func (c *construction) foldRange(ctx context.Context, folder Folder, after, to int64, done *atomic.Int64, all int64) (Fold, error) {
	fold := folder.NewFold()
	for after < to {
		events, err := c.Log.ReadAll(ctx, after, int(min(foldPage, to-after)))
		if err != nil {
			return nil, err
		}
		if len(events) == 0 {
			return nil, fmt.Errorf("the log ends at position %d, before %d", after, to)
		}
		after += int64(len(events))
		chosen, err := c.choose(events)
		if err != nil {
			return nil, err
		}
		if err := add(fold, chosen); err != nil {
			return nil, fmt.Errorf("fold events up to %d into %s: %w", after, folder.Name(), err)
		}
		if n := done.Add(int64(len(events))); c.Progress != nil {
			c.Progress(n, all)
		}
	}
	return fold, nil
}

// add has a fold take events in; a panic becomes an error.
func add(fold Fold, events []domain.Recorded) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	fold.Add(events)
	return nil
}

// foldWriter copies rows into the tables, over a connection of its own.
type foldWriter struct {
	*construction
	own *pgx.Conn
}

func (w *foldWriter) write(ctx context.Context, fold Fold) (err error) {
	if w.own == nil {
		if w.own, err = w.dial(ctx); err != nil {
			return err
		}
	}
	for _, table := range w.projection.Tables() {
		columns, rows := fold.Rows(table)
		if _, err := w.own.CopyFrom(ctx, pgx.Identifier{w.shadow.copy, table}, columns, rows); err != nil {
			return fmt.Errorf("copy the rows of %s: %w", table, err)
		}
	}
	return nil
}

func (w *foldWriter) close() {
	if w.own != nil {
		hangUp(w.own)
	}
}
