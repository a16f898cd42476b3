package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/workers"
)

// operator is how the log names what is done at the command line.
var operator = domain.Metadata{Auth: "system"}

// withMember opens the log for a command that appends: as one of the nodes, so that it
// writes only what all of them read, and with the projections that move with the log.
func withMember(ctx context.Context, c console, s *settings, use func(*eventstore.Log, *pgxpool.Pool) error) error {
	return withPool(ctx, c, s, func(pool *pgxpool.Pool) error {
		logger := s.logger(c.err)
		log, err := eventstore.Open(ctx, pool, eventstore.Options{
			Types: eventstore.Types(), Node: nodeName(), Inline: inlineProjections(), Log: logger, Poll: pollOften,
		})
		if err != nil {
			return err
		}
		defer log.Close()
		group := workers.NewGroup(logger)
		defer group.Stop()
		if err := joinNodes(ctx, group, log, pool, uuid.Nil, logger); err != nil {
			return err
		}
		return use(log, pool)
	})
}
