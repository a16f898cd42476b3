package eventstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

// schemas is where names without a schema are looked for. A rebuild of a projection
// puts its own schema in front.
const schemas = `log, refs, catalog, access, rules, gpgkeys, lfs, ratelimit, projections, activity, refhistory, reposearch, public`

// readBuffer is how much is taken from a connection at once, in bytes, if it is there.
const readBuffer = 64 << 10

// Connect opens a pool whose connections work as the role annal_app, which may add
// to the log and not change it. url is a PostgreSQL connection URL; the database
// must have been migrated.
func Connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	config.ConnConfig.RuntimeParams["application_name"] = "annal"
	config.ConnConfig.RuntimeParams["search_path"] = schemas
	config.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readBuffer), w)
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `set role annal_app`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return pool, nil
}

// Dial opens a connection beside the pool, for work that must not wait for a free one.
// It works with the same rights as those of the pool. Whoever opens it closes it.
func Dial(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) { return dial(ctx, pool) }

// dial opens a connection beside the pool that is like those of the pool: none works
// with the rights of the role that logged in.
func dial(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	config := pool.Config()
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	if config.AfterConnect != nil {
		if err := config.AfterConnect(ctx, conn); err != nil {
			hangUp(conn)
			return nil, err
		}
	}
	return conn, nil
}

// hangUp closes a connection that dial has opened. A server that does not answer is not
// waited for.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
