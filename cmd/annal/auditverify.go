package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/audit"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/projections/refs"
)

// exitError ends the program with a status of its own.
type exitError struct {
	error
	code int
}

type auditVerifyCommand struct {
	Export   string   `arg:"" optional:"" help:"Export to verify, as 'annal events export' writes it; - for standard input. Default: the database and the shared home of this installation." type:"path"`
	Key      []string `help:"Public key that is trusted, in base64: the first that signed the log, and any that was begun with after one was lost. Default: the one that the log names, which proves less." placeholder:"KEY"`
	TreeOnly bool     `help:"Check signatures and the tree only, not what the events mean."`
	JSON     bool     `name:"json" help:"Print the report as JSON."`
}

// Help is shown with --help.
func (auditVerifyCommand) Help() string {
	return `Verifies, on any machine and with nothing but the export and a public key, that the
events are those that were signed, in order and nothing left out, that who caused them
had the right to, and that personal data is what was logged or was erased. Of a database
it also compares the refs with the log.

Status: 0 if nothing is wrong; else what is wrong first: 11 signatures, 12 tree, 13 form
of the log, 14 rights, 15 personal data, 16 refs, 17 epochs, 18 the input is cut off.

Examples:
  annal audit verify log.jsonl --key 3b6qN2u1Yk0mVxqk4Zf0m0o2m3o0c7m1Zb8n0m3bq1A=
  annal audit verify                       the database of this installation
  zstd -dc log.jsonl.zst | annal audit verify - --json`
}

func (a auditVerifyCommand) Run(ctx context.Context, c console, s *settings) error {
	options := audit.Options{Types: eventstore.Types(), TreeOnly: a.TreeOnly}
	for _, text := range a.Key {
		key, err := tree.ParsePublicKey(text)
		if err != nil {
			return err
		}
		options.Keys = append(options.Keys, key)
	}
	if a.Export == "" {
		return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
			config := treeConfig(s, log, pool, s.logger(c.err))
			source, err := audit.OpenDatabase(ctx, pool, config, audit.Range{From: 1, To: -1, Personal: true})
			if err != nil {
				return err
			}
			options.Witnesses = witnesses(s)
			options.CheckFiles = audit.Files(config.Dir, source)
			if !a.TreeOnly {
				options.Refs = func(ctx context.Context, fold *audit.RefsFold) error {
					return refs.Compare(ctx, pool, options.Types, fold)
				}
			}
			return a.verify(ctx, c, source, options)
		})
	}
	in := io.Reader(os.Stdin)
	if a.Export != "-" {
		file, err := os.Open(a.Export)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	export, err := audit.OpenExport(in)
	if err != nil {
		return inputError(err)
	}
	return a.verify(ctx, c, export, options)
}

// witnesses are the checkpoints that this node and the shared home keep.
func witnesses(s *settings) []string {
	var list []string
	if kept, err := os.ReadFile(s.witnessFile()); err == nil {
		list = append(list, string(kept))
	}
	if epoch, err := tree.NewestEpoch(s.logDir()); err == nil && epoch > 0 {
		if shared, err := tree.EpochFolder(s.logDir(), epoch).Checkpoint(); err == nil {
			list = append(list, shared)
		}
	}
	return list
}

func inputError(err error) error {
	if input := (*audit.InputError)(nil); errors.As(err, &input) {
		return &exitError{err, audit.Input.ExitCode()}
	}
	return err
}

func (a auditVerifyCommand) verify(ctx context.Context, c console, source audit.Source, options audit.Options) error {
	bar, header := &progress{w: c.err}, source.Header()
	options.Progress = func(position int64) { bar.show(position-header.From+1, max(header.To, position)-header.From+1) }
	report, err := audit.Verify(ctx, source, options)
	bar.end()
	if err != nil {
		return inputError(err)
	}
	if a.JSON {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		printReport(c.out, report)
	}
	if err != nil || report.Whole() {
		return err
	}
	first := report.Findings[0]
	return &exitError{fmt.Errorf("the log is not what it should be: %s", first), first.Class.ExitCode()}
}

func printReport(w io.Writer, r *audit.Report) {
	fmt.Fprintf(w, "cluster %s, positions %d to %d: %d events, %d checkpoints\n", r.Cluster, r.From, r.To, r.Events, r.Checkpoints)
	fmt.Fprintf(w, "signed up to position %d; root of all %s\n", r.Signed, r.Root)
	if r.Erased > 0 {
		fmt.Fprintf(w, "%d pieces of personal data were erased, as events say\n", r.Erased)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	for _, f := range r.Findings {
		fmt.Fprintln(w, "WRONG:", f)
	}
	if r.Whole() {
		fmt.Fprintln(w, "nothing is wrong")
	}
}

type auditProveCommand struct {
	Position int64  `arg:"" help:"Position of the event in the log."`
	Out      string `short:"o" help:"File to write. Default: standard output." type:"path" placeholder:"FILE"`
}

// Help is shown with --help.
func (auditProveCommand) Help() string {
	return `The receipt holds the event without personal data, the proof that it is in the log and
the signed checkpoint: one file to keep. Over REST: /rest/annal/1.0/log/receipt?position=.

Examples:
  annal audit prove 4711 --out receipt-4711.json`
}

func (a auditProveCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		receipts := tree.NewReceipts(treeConfig(s, log, pool, s.logger(c.err)))
		receipt, err := receipts.Receipt(ctx, a.Position)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(receipt, "", "  ")
		if err != nil {
			return err
		}
		text = append(text, '\n')
		if a.Out == "" {
			_, err = c.out.Write(text)
			return err
		}
		return writeWhole(a.Out, func(w io.Writer) error { _, err := w.Write(text); return err })
	})
}

type auditCheckReceiptCommand struct {
	File string `arg:"" help:"The receipt." type:"path"`
	Key  string `required:"" help:"Public key that is trusted, in base64: the one that signed, or an earlier one." placeholder:"KEY"`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help is shown with --help.
func (auditCheckReceiptCommand) Help() string {
	return `Needs nothing but the file and the key.

Examples:
  annal audit check-receipt receipt-4711.json --key 3b6qN2u1Yk0mVxqk4Zf0m0o2m3o0c7m1Zb8n0m3bq1A=`
}

func (a auditCheckReceiptCommand) Run(c console) error {
	key, err := tree.ParsePublicKey(a.Key)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(a.File)
	if err != nil {
		return err
	}
	receipt, err := tree.ParseReceipt(data)
	if err != nil {
		return &exitError{err, audit.Input.ExitCode()}
	}
	checkpoint, err := receipt.Check(key)
	var signature *tree.SignatureError
	if errors.As(err, &signature) {
		return &exitError{err, audit.Signatures.ExitCode()}
	}
	if err != nil {
		return &exitError{err, audit.Tree.ExitCode()}
	}
	if a.JSON {
		return json.NewEncoder(c.out).Encode(map[string]any{"position": receipt.Position, "event": receipt.Event, "origin": checkpoint.Origin, "size": checkpoint.Size, "root": checkpoint.Root})
	}
	fmt.Fprintf(c.out, "event %d is in the log of %s, as signed with %d events:\n%s\n", receipt.Position, checkpoint.Origin, checkpoint.Size, receipt.Event)
	return nil
}
