package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
)

// projectionsParkCommand is about events that a projection could not apply. It sets their
// streams aside and goes on with the others; a critical projection stops.
type projectionsParkCommand struct {
	List  parkListCommand  `cmd:"" help:"Show what a projection has set aside."`
	Retry parkRetryCommand `cmd:"" help:"Have a stream tried again, as after an upgrade. Example: annal projections park retry activity repository/42"`
	Skip  parkSkipCommand  `cmd:"" help:"Leave one event out of a projection for ever. Example: annal projections park skip activity 4711 --reason 'its project is gone'"`
}

// maxParked is how much a list shows.
const maxParked = 1000

type parkListCommand struct {
	Name string `arg:"" help:"Name of the projection."`
	JSON bool   `name:"json" help:"Print JSON."`
}

type parkedJSON struct {
	Position int64     `json:"position"`
	Stream   string    `json:"stream"`
	Attempts int       `json:"attempts"` // 0: waits behind an earlier event of its stream
	Error    string    `json:"error"`
	At       time.Time `json:"at"`
}

func (p parkListCommand) Run(ctx context.Context, c console, s *settings) error {
	if err := setsAside(p.Name); err != nil {
		return err
	}
	return withPool(ctx, c, s, func(pool *pgxpool.Pool) error {
		parked, err := projections.NewCheckpoints(pool).Parked(ctx, p.Name, 0, maxParked)
		if err != nil {
			return err
		}
		if p.JSON {
			list := make([]parkedJSON, len(parked))
			for i, e := range parked {
				list[i] = parkedJSON{e.Position, string(e.Stream), e.Attempts, e.Error, e.At.UTC()}
			}
			return json.NewEncoder(c.out).Encode(list)
		}
		table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "POSITION\tSTREAM\tATTEMPTS\tSINCE\tERROR")
		for _, e := range parked {
			fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%s\n", e.Position, e.Stream, e.Attempts, e.At.UTC().Format(time.RFC3339), e.Error)
		}
		return table.Flush()
	})
}

type parkRetryCommand struct {
	Name  string `arg:"" help:"Name of the projection."`
	Which string `arg:"" help:"A stream, such as repository/42, or the position of an event of it."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (p parkRetryCommand) Run(ctx context.Context, c console, s *settings) error {
	return order(ctx, c, s, p.Name, p.JSON, func(o projections.Operator) (projections.Order, error) {
		return o.Retry(ctx, p.Name, p.Which, domain.Metadata{Auth: "system"})
	})
}

type parkSkipCommand struct {
	Name     string `arg:"" help:"Name of the projection."`
	Position int64  `arg:"" help:"Position of the event."`
	Reason   string `required:"" help:"Why; it is written into the log for ever. Name no person."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

func (p parkSkipCommand) Run(ctx context.Context, c console, s *settings) error {
	return order(ctx, c, s, p.Name, p.JSON, func(o projections.Operator) (projections.Order, error) {
		return o.Skip(ctx, p.Name, p.Position, p.Reason, domain.Metadata{Auth: "system"})
	})
}

// orderTimeout is how long a command waits for a node to carry its order out.
const orderTimeout = 10 * time.Second

type orderJSON struct {
	Position   int64  `json:"position"` // of the order in the log
	Stream     string `json:"stream"`
	CarriedOut bool   `json:"carriedOut"`
	Stands     int64  `json:"stands,omitempty"` // event at which the stream stands still
	Error      string `json:"error,omitempty"`
}

// order gives an order and waits until it has been carried out.
func order(ctx context.Context, c console, s *settings, name string, asJSON bool, give func(projections.Operator) (projections.Order, error)) error {
	if err := setsAside(name); err != nil {
		return err
	}
	return withPool(ctx, c, s, func(pool *pgxpool.Pool) error {
		log, err := eventstore.Open(ctx, pool, eventstore.Options{
			Types: eventstore.Types(), Node: nodeName(), Inline: inlineProjections(), Log: s.logger(c.err),
		})
		if err != nil {
			return err
		}
		defer log.Close()
		operator := projections.Operator{Checkpoints: projections.NewCheckpoints(pool), Log: log}
		given, err := give(operator)
		if err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		stands, reason, err := operator.Await(waiting, given)
		late := errors.Is(err, context.DeadlineExceeded)
		switch {
		case err != nil && !late:
			return err
		case asJSON:
			return json.NewEncoder(c.out).Encode(orderJSON{given.Position, string(given.Stream), !late, stands, reason})
		case late:
			fmt.Fprintf(c.out, "the order is event %d; it will be carried out when a node runs %s\n", given.Position, name)
		case stands != 0:
			return fmt.Errorf("%s still cannot apply event %d of %s: %s", name, stands, given.Stream, reason)
		default:
			fmt.Fprintf(c.out, "%s has nothing of %s set aside any more\n", name, given.Stream)
		}
		return nil
	})
}
