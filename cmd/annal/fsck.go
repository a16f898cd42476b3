package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/fsck"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/refs"
)

type fsckCommand struct {
	Repository string `arg:"" optional:"" help:"Project and repository, as PROJ/repo. Default: all, deleted ones included."`
	JSON       bool   `name:"json" help:"Print JSON: a line for each finding, and one for each repository when it is done."`
}

// Help is shown with --help.
func (fsckCommand) Help() string {
	return `Reads every pack that the log lists from the shared home, unpacks and hashes every object,
follows every link and looks for what every ref names. Nodes may go on serving. Exits with
status 2 if something is not as it should be.`
}

// fsckExit is the status of the program when something is wrong with a repository.
const fsckExit = 2

// fsckJSON is a line of output.
type fsckJSON struct {
	Repository int64  `json:"repository"`
	Name       string `json:"name,omitempty"` // PROJ/repo; none if it is deleted
	Storage    string `json:"storage"`
	Finding    string `json:"finding,omitempty"` // else this line ends the repository
	Packs      int    `json:"packs,omitempty"`
	Refs       int    `json:"refs,omitempty"`
	Findings   int    `json:"findings"` // so far
}

// Run implements kong's command.
func (f fsckCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		return withObjects(s, func(objects *store.Store) error {
			run := &fsckRun{command: f, console: c, objects: objects, refs: refs.NewReader(pool, log, refsCacheBytes), catalog: catalog.NewReader(pool)}
			return run.all(ctx, pool)
		})
	})
}

// fsckRun is one call of the command.
type fsckRun struct {
	command  fsckCommand
	console  console
	objects  *store.Store
	refs     *refs.Reader
	catalog  *catalog.Reader
	findings int
}

func (r *fsckRun) all(ctx context.Context, pool *pgxpool.Pool) error {
	var list []domain.RepositoryID
	if r.command.Repository == "" {
		var err error
		if list, err = r.refs.Repositories(ctx); err != nil {
			return err
		}
	} else {
		id, err := findRepository(ctx, pool, r.command.Repository)
		if err != nil {
			return err
		}
		list = append(list, id)
	}
	for _, id := range list {
		if err := r.repository(ctx, id); err != nil {
			return err
		}
	}
	if r.findings > 0 {
		return &exitError{fmt.Errorf("%d findings in %d repositories", r.findings, len(list)), fsckExit}
	}
	return nil
}

func (r *fsckRun) repository(ctx context.Context, id domain.RepositoryID) error {
	found, err := r.refs.DeletedOrNot(ctx, id)
	if err != nil {
		return err
	}
	line := fsckJSON{Repository: int64(id), Storage: found.Storage, Packs: len(found.Packs()), Refs: found.Refs.Len()}
	known, err := r.catalog.RepositoryByID(ctx, id)
	var missing *domain.NotFoundError
	switch {
	case err == nil:
		line.Name = known.Project.Key + "/" + known.Slug
	case !errors.As(err, &missing):
		return err
	}
	bar := &progress{w: r.console.err, bytes: true}
	var printErr error
	checker := fsck.Checker{
		Store: r.objects,
		Found: func(f fsck.Finding) {
			r.findings++
			line.Findings++
			finding := line
			finding.Finding = f.String()
			printErr = errors.Join(printErr, r.print(finding))
		},
		Progress: bar.show,
	}
	err = checker.Check(ctx, shown(found))
	bar.end()
	if err := errors.Join(err, printErr); err != nil {
		return err
	}
	return r.print(line)
}

func (r *fsckRun) print(line fsckJSON) error {
	if r.command.JSON {
		return json.NewEncoder(r.console.out).Encode(line)
	}
	name := line.Name
	if name == "" {
		name = fmt.Sprintf("repository %d (deleted)", line.Repository)
	}
	var err error
	switch {
	case line.Finding != "":
		_, err = fmt.Fprintf(r.console.out, "%s: %s\n", name, line.Finding)
	case line.Findings == 0:
		_, err = fmt.Fprintf(r.console.out, "%s: %d packs and %d refs are as they should be\n", name, line.Packs, line.Refs)
	}
	return err
}
