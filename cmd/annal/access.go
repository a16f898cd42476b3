package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/effective"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

type accessCommand struct {
	Explain accessExplainCommand `cmd:"" help:"Say what a user may do with a repository, and why."`
	List    accessListCommand    `cmd:"" help:"List who may do what with a repository, and why."`
}

// accessTarget is the repository and the moment that are asked about.
type accessTarget struct {
	Repository string `arg:"" help:"Project and repository, as PROJ/repo, or the number of a repository, deleted or not."`
	At         string `help:"Position of the log, or time such as 2026-03-03T12:00:00Z. Default: now."`
}

type accessExplainCommand struct {
	User string `arg:"" help:"Name of the user as it is now."`
	accessTarget
}

type accessListCommand struct{ accessTarget }

// Help implements kong.HelpProvider.
func (accessExplainCommand) Help() string {
	return `The answer is folded from the log, so it can be had for any moment of the past.

Examples:
  annal access explain jane PROJ/repo
  annal access explain jane PROJ/repo --at 2026-03-03T12:00:00Z`
}

// Help implements kong.HelpProvider.
func (accessListCommand) Help() string {
	return `Who could write to it on the 3rd of March?

  annal access list PROJ/repo --at 2026-03-03T12:00:00Z`
}

// past folds the log into who could do what.
func (t accessTarget) past(ctx context.Context, log *eventstore.Log, pool *pgxpool.Pool) (access.Past, error) {
	number, err := strconv.ParseInt(t.Repository, 10, 64)
	id := domain.RepositoryID(number)
	if err != nil {
		if id, err = findRepository(ctx, pool, t.Repository); err != nil {
			return access.Past{}, err
		}
	}
	return access.PastOf(ctx, log, id, t.At)
}

func (e accessExplainCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		user, err := access.NewReader(pool).UserByName(ctx, e.User)
		if err != nil {
			return err
		}
		past, err := e.past(ctx, log, pool)
		if err != nil {
			return err
		}
		may := past.Explain(user.ID, past.Repository)
		permission := string(may.Permission)
		if permission == "" {
			permission = "nothing"
		}
		fmt.Fprintf(c.out, "%s on %s at position %d: %s\n", user.Name, e.Repository, past.Position, permission)
		switch {
		case !may.Active:
			fmt.Fprintln(c.out, "  is not active, or did not exist")
		case !may.MayLogIn:
			fmt.Fprintln(c.out, "  may not log in: holds no global permission")
		}
		for _, reason := range may.Reasons {
			fmt.Fprintf(c.out, "  %s\n", because(past, reason))
		}
		return nil
	})
}

func (l accessListCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		past, err := l.past(ctx, log, pool)
		if err != nil {
			return err
		}
		holders := past.Holders(past.Repository)
		ids := make([]domain.UserID, len(holders))
		for i, h := range holders {
			ids[i] = h.User
		}
		users, err := access.NewReader(pool).UsersByID(ctx, ids)
		if err != nil {
			return err
		}
		return l.print(c.out, past, holders, users)
	})
}

func (l accessListCommand) print(out io.Writer, past access.Past, holders []effective.Access, users map[domain.UserID]access.User) error {
	fmt.Fprintf(out, "%s at position %d\n", l.Repository, past.Position)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if past.Public(past.Repository) {
		fmt.Fprintf(w, "%s\tanybody\tpublic\n", rights.RepoRead)
	}
	for _, h := range holders {
		var reasons []string
		for _, r := range h.Reasons {
			reasons = append(reasons, because(past, r))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", h.Permission, users[h.User].Name, strings.Join(reasons, "; "))
	}
	return w.Flush()
}

// because says in words what gives somebody a permission.
func because(past access.Past, r effective.Reason) string {
	on := map[rights.Level]string{rights.Global: "the installation", rights.Project: "the project", rights.Repository: "the repository"}[r.Level()]
	switch r.Kind {
	case effective.ByGroup:
		var names []string
		for _, g := range r.Path {
			names = append(names, past.GroupName(g))
		}
		return fmt.Sprintf("%s on %s by group %s", r.Permission, on, strings.Join(names, " in "))
	case effective.Default:
		return fmt.Sprintf("%s on %s by default", r.Permission, on)
	case effective.Public:
		return fmt.Sprintf("%s because anybody may", r.Permission)
	default:
		return fmt.Sprintf("%s on %s", r.Permission, on)
	}
}
