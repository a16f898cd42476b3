package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

type eventsCommand struct {
	Tail eventsTailCommand `cmd:"" help:"Print the newest events, and with --follow those to come."`
	Show eventsShowCommand `cmd:"" help:"Print one event whole."`

	Export eventsExportCommand `cmd:"" help:"Write the log to a file, with all that proves it."`

	Partitions eventsPartitionsCommand `cmd:"" help:"List the tables that the log lies in, with their sizes."`
	Move       eventsMoveCommand       `cmd:"" help:"Move a part of the log that is signed to another tablespace, such as one on cheaper disks. Nodes go on serving."`
}

type eventsTailCommand struct {
	Number int   `short:"n" help:"How many of the newest events to print first." default:"10"`
	After  int64 `help:"Print from behind this position instead." default:"-1" placeholder:"POSITION"`
	Follow bool  `short:"f" help:"Go on with new events until interrupted."`
	JSON   bool  `name:"json" help:"Print each event as a line of JSON."`

	Actor  string `help:"Only what this user has caused." placeholder:"NAME"`
	Type   string `help:"Only events of a type, or of those that begin so, such as access." placeholder:"TYPE"`
	Stream string `help:"Only events of one stream, such as repository/42." placeholder:"STREAM"`
}

// Help is shown with --help.
func (eventsTailCommand) Help() string {
	return `Examples:
  annal events tail --type access. --number 50         the last 50 changes of permissions
  annal events tail --actor jane --after 0 --json      all that Jane has ever done
  annal events tail --stream user/7 --follow           what happens to a user from now on`
}

// search is what is looked for. A user who has been erased is named by his number.
func (e eventsTailCommand) search(ctx context.Context, pool *pgxpool.Pool) (eventstore.Search, error) {
	s := eventstore.Search{Type: e.Type, Stream: domain.Stream(e.Stream)}
	if e.Actor == "" {
		return s, nil
	}
	user, err := access.NewReader(pool).UserByName(ctx, e.Actor)
	if err == nil {
		s.Actor = user.ID
		return s, nil
	}
	if number, numberErr := strconv.ParseInt(e.Actor, 10, 64); numberErr == nil && number > 0 {
		s.Actor = domain.UserID(number)
		return s, nil
	}
	return s, err
}

func (e eventsTailCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		search, err := e.search(ctx, pool)
		if err != nil {
			return err
		}
		head, err := log.Head(ctx)
		if err != nil {
			return err
		}
		after := e.After
		switch {
		case after >= 0:
		case search.Everything():
			after = max(head-int64(e.Number), 0)
		default:
			if after, err = log.FindNewest(ctx, search, head, max(e.Number, 0)); err != nil {
				return err
			}
		}
		for {
			if after, err = e.print(ctx, c, log, search, after, head); err != nil || !e.Follow {
				return err
			}
			if head, err = log.Await(ctx, after); err != nil {
				return err
			}
		}
	})
}

// print prints what is looked for behind a position up to another. It returns how far it came.
func (e eventsTailCommand) print(ctx context.Context, c console, log *eventstore.Log, search eventstore.Search, after, upTo int64) (int64, error) {
	for {
		var events []eventstore.Stored
		var err error
		if search.Everything() {
			events, err = log.ReadStored(ctx, after, 1000)
		} else {
			events, err = log.Find(ctx, search, after, upTo, 1000)
		}
		if err != nil {
			return after, err
		}
		for _, event := range events {
			if err := printEvent(c.out, event, e.JSON); err != nil {
				return after, err
			}
			after = event.Position
		}
		if len(events) == 0 {
			return max(after, upTo), nil
		}
	}
}

type eventsShowCommand struct {
	Position int64 `arg:"" help:"Position of the event in the log."`
}

func (e eventsShowCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, _ *pgxpool.Pool) error {
		event, ok, err := log.ReadEvent(ctx, e.Position)
		if err != nil {
			return err
		}
		if !ok {
			head, err := log.Head(ctx)
			if err != nil {
				return err
			}
			return fmt.Errorf("there is no event %d: the log goes from 1 to %d", e.Position, head)
		}
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(jsonOf(event))
	})
}

// pollOften is for those who watch: a node that is alone notifies nobody.
const pollOften = 50 * time.Millisecond

// withLog opens the log for reading.
func withLog(ctx context.Context, c console, s *settings, use func(*eventstore.Log, *pgxpool.Pool) error) error {
	return withPool(ctx, c, s, func(pool *pgxpool.Pool) error {
		log, err := eventstore.Open(ctx, pool, eventstore.Options{Types: eventstore.Types(), Log: s.logger(c.err), Poll: pollOften})
		if err != nil {
			return err
		}
		defer log.Close()
		return use(log, pool)
	})
}

// eventJSON is an event as commands print it.
type eventJSON struct {
	Position int64           `json:"position"`
	At       time.Time       `json:"at"`
	Stream   string          `json:"stream"`
	Version  int64           `json:"version"`
	Type     string          `json:"type"`
	ID       string          `json:"id"`
	Body     json.RawMessage `json:"body"`
	Meta     json.RawMessage `json:"meta"`
}

func jsonOf(e eventstore.Stored) eventJSON {
	return eventJSON{e.Position, e.At, string(e.Stream), e.Version, e.Type, e.ID, e.Body, e.Meta}
}

// lineWidth is how much of a body a line shows, in bytes.
const lineWidth = 200

func printEvent(w io.Writer, e eventstore.Stored, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(jsonOf(e))
	}
	body := string(e.Body)
	if len(body) > lineWidth {
		body = body[:lineWidth] + "..."
	}
	_, err := fmt.Fprintf(w, "%d  %s  %s  %s  %s\n", e.Position, e.At.Format("2006-01-02T15:04:05.000Z"), e.Stream, e.Type, body)
	return err
}
