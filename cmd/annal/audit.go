package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
)

type auditCommand struct {
	Verify       auditVerifyCommand       `cmd:"" help:"Verify an export, or the database of this installation."`
	Prove        auditProveCommand        `cmd:"" help:"Write the receipt of an event: proof that it is in the log."`
	CheckReceipt auditCheckReceiptCommand `cmd:"" help:"Check a receipt, without any installation."`

	Refusals auditRefusalsCommand `cmd:"" help:"List what was refused to whom: log-ins, permissions, rules."`

	Keys  auditKeysCommand  `cmd:"" help:"List the keys that sign the log, or begin with another."`
	Epoch auditEpochCommand `cmd:"" help:"Go on with a log that does not contain what was signed any more, such as one restored from a backup."`
}

type auditKeysCommand struct {
	List   auditKeysListCommand   `cmd:"" help:"Print each public key and from which size of the log on it signs."`
	Rotate auditKeysRotateCommand `cmd:"" help:"Make another key. The one in use vouches for it and is then deleted."`
}

type auditKeysListCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown with --help.
func (auditKeysListCommand) Help() string {
	return `Examples:
  annal audit keys list
  annal audit keys list --json > keys.json      what to give to an auditor

Give the first key to auditors by a way that does not lead through this installation:
each later key is vouched for by the one before.`
}

func (a auditKeysListCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		list, err := tree.NewReceipts(treeConfig(s, log, pool, s.logger(c.err))).Keys(ctx)
		if err != nil {
			return err
		}
		if a.JSON {
			encoder := json.NewEncoder(c.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(list)
		}
		table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "FROM SIZE\tPUBLIC KEY\tVOUCHED FOR")
		for i, k := range list {
			vouched := "by the key before"
			switch {
			case i == 0:
				vouched = "the first"
			case k.Vouch == "":
				vouched = "no: the key before was lost"
			}
			fmt.Fprintf(table, "%d\t%s\t%s\n", k.From, k.Public, vouched)
		}
		return table.Flush()
	})
}

type auditKeysRotateCommand struct {
	Lost bool `help:"The key in use is lost, so that nothing vouches for the new one. Auditors have to be given the new one."`
}

// Help is shown with --help.
func (auditKeysRotateCommand) Help() string {
	return `Examples:
  annal audit keys rotate              each year, or when somebody leaves who could read the key
  annal audit keys rotate --lost       the file of the key is gone

The nodes need not be restarted, if they read the same file.`
}

func (a auditKeysRotateCommand) Run(ctx context.Context, c console, s *settings) error {
	return withMember(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		position, event, err := tree.RotateKey(ctx, treeConfig(s, log, pool, s.logger(c.err)), a.Lost, operator)
		if err == nil {
			fmt.Fprintf(c.out, "from position %d on, %s signs\n", position, event.New)
		}
		return err
	})
}

type auditEpochCommand struct {
	Reason string `required:"" help:"Why the log is not what was signed, for those who read it later." placeholder:"TEXT"`
}

// Help is shown with --help.
func (auditEpochCommand) Help() string {
	return `Nodes take no changes when a checkpoint is known, on the shared home or on their own
disk, that the log does not contain: the database was restored to an older state, or
changed. If the newer state can still be had, restore that. If not, this command writes
into the log what was lost, with proof of what was not, and the nodes go on.

What was pushed after the cut is gone from the log; its objects may still be on the
shared home. Run it on a node whose home is intact: it has the newest checkpoint.

Examples:
  annal audit epoch --reason "restored from the backup of Monday, 12:00"`
}

func (a auditEpochCommand) Run(ctx context.Context, c console, s *settings) error {
	if err := domain.CheckText("reason", a.Reason, 1000, false); err != nil {
		return err
	}
	return withMember(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		config := treeConfig(s, log, pool, s.logger(c.err))
		bar := &progress{w: c.err}
		position, event, err := tree.StartEpoch(ctx, tree.NewWitness(config, s.witnessFile()), a.Reason, operator, bar.show)
		bar.end()
		if err != nil {
			return err
		}
		signed, err := tree.PeekCheckpoint(event.Checkpoint)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "epoch %d begins at position %d: of the %d events that were signed before, the log has the first %d\n", event.Epoch, position, signed.Size, event.Cut)
		return nil
	})
}
