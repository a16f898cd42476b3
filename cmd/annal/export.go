package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/audit"
)

type eventsExportCommand struct {
	From         int64  `help:"Position of the first event." default:"1" placeholder:"POSITION"`
	To           int64  `help:"Position of the last event. Default: the last that a signed checkpoint covers." placeholder:"POSITION"`
	Out          string `short:"o" help:"File to write, which appears when it is whole. Default: standard output." type:"path" placeholder:"FILE"`
	WithPersonal bool   `help:"With the personal data beside the log, such as names, addresses and hashes of passwords: without it an auditor cannot check that it is what was logged."`
}

// Help is shown with --help.
func (eventsExportCommand) Help() string {
	return `The export is lines of JSON: what 'annal audit verify' reads on any machine, without
this installation. docs/auditors.md says what each line holds.

Examples:
  annal events export --out log.jsonl
  annal events export --from 100001 --to 200000 --out part.jsonl
  annal events export | zstd > log.jsonl.zst`
}

func (e eventsExportCommand) Run(ctx context.Context, c console, s *settings) error {
	if e.From < 1 || e.To < 0 {
		return errors.New("positions begin with 1")
	}
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		source, err := audit.OpenDatabase(ctx, pool, treeConfig(s, log, pool, s.logger(c.err)), audit.Range{From: e.From, To: e.To, Personal: e.WithPersonal})
		if err != nil {
			return err
		}
		bar := &progress{w: c.err}
		defer bar.end()
		header := source.Header()
		show := func(position int64) { bar.show(position-header.From+1, header.To-header.From+1) }
		if e.Out == "" {
			out := bufio.NewWriter(c.out)
			return errors.Join(audit.Write(ctx, out, source, show), out.Flush())
		}
		return writeWhole(e.Out, func(w io.Writer) error { return audit.Write(ctx, w, source, show) })
	})
}

// writeWhole writes a file that only its owner reads, and that appears when it is whole.
func writeWhole(file string, write func(io.Writer) error) error {
	out, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // fails once it is renamed
	err = write(out)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(out.Name(), file)
}
