package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

type usersCommand struct {
	Erase usersEraseCommand `cmd:"" help:"Forget a user for ever, as data protection law may demand. There is no way back."`
}

type usersEraseCommand struct {
	Name string `arg:"" help:"Name of the user. One who was erased half is found by the name that he was given: -erased-NUMBER."`
	Yes  bool   `help:"Do not ask."`
}

// Help implements kong.HelpProvider.
func (usersEraseCommand) Help() string {
	return `Deletes who the user is, his password and tokens, and from which addresses he came.
His acts stay in the log, as those of a number. The log's proofs stay valid.

Examples:
  annal users erase jane                     ask, then erase
  annal users erase --yes -- -erased-42      go on with an erasure that was broken off`
}

const eraseReach = `Erasing %[1]s (user %[2]d) cannot be undone. It deletes from this database who the user is
and everything the log keeps about the user beside it. Out of its reach stay:
  - names and e-mail addresses inside Git commits and tags
  - what was sent to others: webhooks, mails, clones
  - backups and exports made before, until you delete them
`

func (u usersEraseCommand) Run(ctx context.Context, c console, s *settings) error {
	return withMember(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		user, err := access.NewReader(pool).UserByName(ctx, u.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.err, eraseReach, user.Name, user.ID)
		if !u.Yes {
			if err := confirm(c, user.Name); err != nil {
				return err
			}
		}
		bar := &progress{w: c.err}
		err = eventstore.Erase(ctx, log, user.ID, operator, bar.show)
		bar.end()
		if err != nil {
			return fmt.Errorf("erase user %d: %w", user.ID, err)
		}
		fmt.Fprintf(c.out, "user %d is erased\n", user.ID)
		return nil
	})
}

// confirm asks the person at the terminal to type a name.
func confirm(c console, name string) error {
	fmt.Fprintf(c.err, "Type %s to go on: ", name)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return fmt.Errorf("nobody answers; --yes goes on without asking: %w", err)
	}
	if strings.TrimSpace(answer) != name {
		return errors.New("this is not the name: nothing was erased")
	}
	return nil
}
