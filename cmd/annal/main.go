// Command annal is the one program of Annal: a node of the Git platform, and the
// tools of its operators and auditors.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		received := <-signals
		signal.Stop(signals) // a second one ends the process at once
		cancel(stopSignal{received})
	}()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "annal:", err)
		if exit := (*exitError)(nil); errors.As(err, &exit) {
			os.Exit(exit.code)
		}
		os.Exit(1)
	}
}

// stopSignal is why the program was told to stop.
type stopSignal struct{ os.Signal }

func (s stopSignal) Error() string { return "received signal " + s.String() }

// commandLine is every verb with its flags. The settings stand at the top, so that
// each verb knows where the homes and the database are.
type commandLine struct {
	Settings settings `embed:""`

	Serve       serveCommand       `cmd:"" help:"Run a node. Without any configuration it keeps everything, its database included, in one folder."`
	Config      configCommand      `cmd:"" help:"Print the settings in effect, secrets hidden."`
	Events      eventsCommand      `cmd:"" help:"Read the log of events."`
	Audit       auditCommand       `cmd:"" help:"Prove that the log is what it was, and keep the means to."`
	Projections projectionsCommand `cmd:"" help:"List, rebuild and verify what is derived from the log."`
	Fsck        fsckCommand        `cmd:"" help:"Compare the packs and refs that the log lists with the shared home."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the database's schema up to this version, or show how it stands."`
	Repo        repoCommand        `cmd:"" help:"Bring a repository back to what it was, or look after its packs."`
	Access      accessCommand      `cmd:"" help:"Say who may do what with a repository, or could at a moment of the past, and why."`
	Users       usersCommand       `cmd:"" help:"Erase a user."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// console is where a command talks to the person who called it.
type console struct {
	out io.Writer // results
	err io.Writer // progress and logs
}

const description = `Annal is a Git platform: identical nodes, every change an event.

Examples:
  annal serve                                start a node on port 7990
  annal serve --http-addr :8080              ... on another port
  annal events tail --follow                 watch what happens
  annal audit verify log.jsonl --key KEY     verify an export, anywhere
  annal projections verify refs              prove that the refs equal the log
  annal repo restore PROJ/repo --at 4711     bring refs back to where they were
  annal fsck                                 check every object on the shared home

Every setting can be a flag, an environment variable or a line of the file given
with --config, in this order of strength.`

// run is the program without the process around it: tests call it whole. It returns
// when the command is done, or soon after ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var line commandLine
	file, err := readSettingsFile(args)
	if err != nil {
		return err
	}
	exited := false
	parser, err := kong.New(&line,
		kong.Name("annal"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Vars{"default_home": defaultHome()},
		kong.Exit(func(int) { exited = true }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.ValueFormatter(helpText),
		kong.Resolvers(file),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console{out: stdout, err: stderr}),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited {
		return nil // --help has been printed
	}
	if err != nil {
		return err
	}
	if err := line.Settings.complete(); err != nil {
		return err
	}
	err = parsed.Run(&line.Settings)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // stopped because it was told to
	}
	return err
}

// helpText is what --help says of a flag or argument: for a setting with its default.
func helpText(v *kong.Value) string {
	text := kong.DefaultHelpValueFormatter(v)
	if v.Flag == nil || len(v.Flag.Envs) == 0 || v.Default == "" || strings.Contains(v.Help, "Default: ") {
		return text
	}
	return text + " Default: " + v.Default + "."
}
