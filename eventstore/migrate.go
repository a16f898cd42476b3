package eventstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/annal-git/annal/migrations"
)

// Migration is one step of the schema.
type Migration struct {
	Number  int64
	Name    string
	Applied time.Time // zero if it has not been
}

// Migrate brings the database's schema up to this version and returns the steps
// it took. Nodes that start together take turns. The URL's role must own the
// database, or be allowed to create schemas and roles in it.
func Migrate(ctx context.Context, url string) ([]Migration, error) {
	var done []Migration
	err := withProvider(url, func(provider *goose.Provider) error {
		results, err := provider.Up(ctx)
		if err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
		for _, r := range results {
			done = append(done, Migration{Number: r.Source.Version, Name: r.Source.Path, Applied: time.Now()})
		}
		return nil
	})
	return done, err
}

// MigrateDown undoes every step. It exists for tests of the down steps.
func MigrateDown(ctx context.Context, url string) error {
	return withProvider(url, func(provider *goose.Provider) error {
		_, err := provider.DownTo(ctx, 0)
		return err
	})
}

// MigrationStatus lists all steps this version knows.
func MigrationStatus(ctx context.Context, url string) ([]Migration, error) {
	var list []Migration
	err := withProvider(url, func(provider *goose.Provider) error {
		status, err := provider.Status(ctx)
		for _, s := range status {
			list = append(list, Migration{Number: s.Source.Version, Name: s.Source.Path, Applied: s.AppliedAt})
		}
		return err
	})
	return list, err
}

func withProvider(url string, use func(*goose.Provider) error) (err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("database URL: %w", err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	return use(provider)
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, migrations.FS, goose.WithSessionLocker(locker))
}
