package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
	audit "github.com/annal-git/annal/projections/refusals"
)

type auditRefusalsCommand struct {
	User       string `help:"Only what was refused to this user, or under his name." placeholder:"NAME"`
	Address    string `help:"Only what came from this address." placeholder:"ADDRESS"`
	Repository string `help:"Only what was about this repository." placeholder:"PROJECT/REPOSITORY"`
	Kind       string `help:"Only refusals of this kind: login, permission, rule or dropped." placeholder:"KIND"`
	Since      string `help:"Only what was refused since a time, or since as long ago as a duration says." placeholder:"TIME"`
	Number     int    `short:"n" help:"How many of the newest to print." default:"100"`
	JSON       bool   `name:"json" help:"Print each refusal as a line of JSON."`
}

// Help is shown with --help.
func (auditRefusalsCommand) Help() string {
	return `Examples:
  annal audit refusals --kind login --since 24h         who could not log in since yesterday
  annal audit refusals --repository PRJ/repo --json     what was refused on a repository

A name that was tried and that no user has is shown as a hash, the same for the same name:
people type passwords where names belong.`
}

func (a auditRefusalsCommand) Run(ctx context.Context, c console, s *settings) error {
	return withPool(ctx, c, s, func(pool *pgxpool.Pool) error {
		filter, err := a.filter(ctx, pool)
		if err != nil {
			return err
		}
		list, _, err := audit.NewReader(pool).List(ctx, filter, 0, max(a.Number, 0))
		if err != nil {
			return err
		}
		if a.JSON {
			encoder := json.NewEncoder(c.out)
			for _, r := range list {
				if err := encoder.Encode(r); err != nil {
					return err
				}
			}
			return nil
		}
		table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "TIME\tKIND\tUSER\tADDRESS\tON\tNEEDED\tREQUEST")
		for _, r := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
				r.At.UTC().Format("2006-01-02T15:04:05.000Z"), r.Kind, whom(r), r.Address, where(r), strings.TrimSpace(r.Need+" "+r.Ref), r.Request)
		}
		return table.Flush()
	})
}

func (a auditRefusalsCommand) filter(ctx context.Context, pool *pgxpool.Pool) (f audit.Filter, err error) {
	f.Address = a.Address
	if a.Kind != "" {
		if f.Kind, err = audit.ParseKind(a.Kind); err != nil {
			return f, err
		}
	}
	if a.User != "" {
		user, err := access.NewReader(pool).UserByName(ctx, a.User)
		if err != nil {
			return f, err
		}
		f.User = user.ID
	}
	if a.Repository != "" {
		project, slug, _ := strings.Cut(a.Repository, "/")
		repository, err := catalog.NewReader(pool).Repository(ctx, project, slug)
		if err != nil {
			return f, err
		}
		f.Repository = repository.ID
	}
	if a.Since != "" {
		f.Since, err = since(a.Since, time.Now())
	}
	return f, err
}

// since reads a time, or a duration before now.
func since(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	moment, err := domain.ParseMoment(text)
	if err != nil || moment.Time.IsZero() {
		return time.Time{}, fmt.Errorf("--since: %q is neither a duration, such as 24h, nor a time, such as 2026-01-31T12:00:00Z or 2026-01-31", text)
	}
	return moment.Time, nil
}

func whom(r audit.Recorded) string {
	switch {
	case r.Kind == audit.Dropped:
		return fmt.Sprintf("%d refusals", r.Times)
	case r.User != "":
		return r.User
	case r.UserID != 0:
		return fmt.Sprintf("user %d", r.UserID)
	case r.NameHash != "":
		return "#" + r.NameHash
	}
	return "-"
}

func where(r audit.Recorded) string {
	switch {
	case r.Repository != "":
		return r.Project + "/" + r.Repository
	case r.RepoID != 0:
		return fmt.Sprintf("repository %d", r.RepoID)
	case r.Project != "":
		return r.Project
	}
	return "-"
}
