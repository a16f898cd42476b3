package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/restore"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/refs"
)

type repoCommand struct {
	Maintenance repoMaintenanceCommand `cmd:"" help:"Show how the packs of a repository are maintained, or have them combined now."`
	Restore     repoRestoreCommand     `cmd:"" help:"Bring the refs of a repository, or one of them, back to where they were."`
}

type repoRestoreCommand struct {
	Repository string `arg:"" help:"Project and repository, as PROJ/repo."`
	At         string `required:"" help:"Position of the log, or time such as 2026-01-31T12:00:00Z."`
	Ref        string `help:"Full name of the one ref to bring back. Without it: all refs and the default branch."`
	DryRun     bool   `help:"Only say what would change."`
}

// Help implements kong.HelpProvider.
func (repoRestoreCommand) Help() string {
	return `The restore is a push like any other: an event, refused if somebody else moves a ref at the
same time. What the refs named before stays in the past, where it can be cloned and restored.

Examples:
  annal repo restore PROJ/repo --at 4711 --dry-run              what would change
  annal repo restore PROJ/repo --at 4711                        all refs and the default branch
  annal repo restore PROJ/repo --at 2026-01-31T12:00:00Z --ref refs/heads/main`
}

// Run plans on the objects of the shared home, which it reads through a local home of its
// own for as long as it runs.
func (r repoRestoreCommand) Run(ctx context.Context, c console, s *settings) error {
	return withMember(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		return withObjects(s, func(objects *store.Store) error {
			id, err := findRepository(ctx, pool, r.Repository)
			if err != nil {
				return err
			}
			current := snapshots{refs.NewReader(pool, log, refsCacheBytes), log}
			log.Arbitrate(refs.NewArbiter(current.reader))
			now, err := current.Snapshot(ctx, id)
			if err != nil {
				return err
			}
			then, err := current.At(ctx, id, r.At)
			if err != nil {
				return err
			}
			push, err := restore.NewPlanner(objects, nil).Plan(ctx, now, then, r.Ref)
			if err != nil {
				return err
			}
			return r.carryOut(ctx, c.out, log, now, push)
		})
	})
}

// withObjects opens the shared home for a command, with an empty local home that ends with
// it: what a node keeps in its own is neither disturbed nor trusted.
func withObjects(s *settings, use func(*store.Store) error) (err error) {
	local, err := os.MkdirTemp("", "annal-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(local)) }()
	objects, err := store.Open(store.Config{SharedHome: s.SharedHome, LocalHome: local, Node: nodeName()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	return use(objects)
}

// findRepository finds a repository that is named as PROJ/repo.
func findRepository(ctx context.Context, pool *pgxpool.Pool, name string) (domain.RepositoryID, error) {
	project, slug, ok := strings.Cut(name, "/")
	if !ok {
		return 0, fmt.Errorf("%q is no repository; name it as PROJ/repo", name)
	}
	found, err := catalog.NewReader(pool).Repository(ctx, project, slug)
	return found.ID, err
}

func (r repoRestoreCommand) carryOut(ctx context.Context, out io.Writer, log *eventstore.Log, now *gitfs.Snapshot, push repository.PushRefs) error {
	if len(push.Updates) == 0 && push.DefaultBranch == "" {
		fmt.Fprintf(out, "%s is as it was at %s already\n", r.Repository, r.At)
		return nil
	}
	if !r.DryRun {
		results, err := refs.Push(ctx, log, now.Repository, push, operator)
		if err != nil {
			return err
		}
		if err := restore.Refused(results); err != nil {
			return err
		}
	}
	for _, u := range push.Updates {
		switch {
		case u.IsCreate():
			fmt.Fprintf(out, "%s  made at %s\n", u.Name, u.New)
		case u.IsDelete():
			fmt.Fprintf(out, "%s  deleted, was at %s\n", u.Name, u.Old)
		default:
			fmt.Fprintf(out, "%s  from %s to %s\n", u.Name, u.Old, u.New)
		}
	}
	if push.DefaultBranch != "" {
		fmt.Fprintf(out, "default branch  from %s to %s\n", now.Head, push.DefaultBranch)
	}
	if r.DryRun {
		fmt.Fprintln(out, "nothing was changed: this was a dry run")
	}
	return nil
}
