package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// shadow is a schema beside a projection's own with tables of the same form, in which
// its copy is made.
type shadow struct {
	projection Projection
	live       string // schema
	copy       string
	old        string // where the live tables go when they are replaced
}

func newShadow(p Projection) shadow {
	return shadow{projection: p, live: p.Name(), copy: p.Name() + "_rebuild", old: p.Name() + "_old"}
}

func quote(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// drop removes what this or an earlier rebuild has left.
func (s shadow) drop(ctx context.Context, conn *pgx.Conn) error {
	for _, schema := range []string{s.copy, s.old} {
		if _, err := conn.Exec(ctx, `drop schema if exists `+quote(schema)+` cascade`); err != nil {
			return fmt.Errorf("drop %s: %w", schema, err)
		}
	}
	return nil
}

// make creates empty tables, still without indexes and keys, into which rows can be
// copied fast.
func (s shadow) make(ctx context.Context, conn *pgx.Conn) error {
	statements := []string{`create schema ` + quote(s.copy)}
	for _, table := range s.projection.Tables() {
		statements = append(statements, fmt.Sprintf(`create table %s (like %s including all excluding indexes)`, quote(s.copy, table), quote(s.live, table)))
		more, err := s.properties(ctx, conn, table)
		if err != nil {
			return fmt.Errorf("look at %s.%s: %w", s.live, table, err)
		}
		statements = append(statements, more...)
	}
	return s.exec(ctx, conn, statements)
}

// properties are the statements for what "like" does not copy: storage options, the
// comment, and who may do what.
func (s shadow) properties(ctx context.Context, conn *pgx.Conn, table string) ([]string, error) {
	return list(ctx, conn, `
		with t as (select * from pg_class where oid = $1::text::regclass)
		select format('alter table %s set (%s)', $2::text, array_to_string(reloptions, ', ')) from t where reloptions is not null
		union all
		select format('comment on table %s is %L', $2::text, obj_description(oid, 'pg_class')) from t where obj_description(oid, 'pg_class') is not null
		union all
		select format('grant %s on %s to %s', privilege_type, $2::text, grantee::regrole)
		from t cross join aclexplode(relacl) where grantee <> relowner and grantee <> 0`,
		quote(s.live, table), quote(s.copy, table))
}

// finish gives the copy the keys, constraints and indexes of the live tables, by the
// same names: projections know them.
func (s shadow) finish(ctx context.Context, conn *pgx.Conn) error {
	var statements []string
	for _, foreign := range []bool{false, true} { // what they refer to comes first
		for _, table := range s.projection.Tables() {
			more, err := s.constraints(ctx, conn, table, foreign)
			if err != nil {
				return fmt.Errorf("look at the keys of %s.%s: %w", s.live, table, err)
			}
			statements = append(statements, more...)
		}
	}
	for _, table := range s.projection.Tables() {
		statements = append(statements, `analyze `+quote(s.copy, table))
	}
	return s.exec(ctx, conn, statements)
}

func (s shadow) constraints(ctx context.Context, conn *pgx.Conn, table string, foreign bool) ([]string, error) {
	query := `
		select format('alter table %s add constraint %I %s', $2::text, conname,
			replace(pg_get_constraintdef(oid), format(' REFERENCES %I.', $3::text), format(' REFERENCES %I.', $4::text)))
		from pg_constraint where conrelid = $1::text::regclass and contype = 'f'`
	if !foreign {
		query = `
			select format('alter table %s add constraint %I %s', $2::text, conname, pg_get_constraintdef(oid))
			from pg_constraint where conrelid = $1::text::regclass and contype in ('p', 'u', 'x') and $3::text <> $4::text
			union all
			select replace(pg_get_indexdef(i.indexrelid), format(' ON %I.', $3::text), format(' ON %I.', $4::text))
			from pg_index i where i.indrelid = $1::text::regclass
				and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x'))`
	}
	return list(ctx, conn, query, quote(s.live, table), quote(s.copy, table), s.live, s.copy)
}

// list reads a column of texts. Names in it have their schemas.
func list(ctx context.Context, conn *pgx.Conn, query string, args ...any) (texts []string, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local search_path = pg_catalog`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		texts, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return texts, err
}

func (s shadow) exec(ctx context.Context, conn *pgx.Conn, statements []string) error {
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// use makes a connection find the copy's tables where a projection names its own.
func (s shadow) use(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `select set_config('search_path', $1 || ', ' || current_setting('search_path'), false)`, quote(s.copy))
	return err
}

// lock keeps everybody from the live tables. Whoever reads more than one of them in a
// transaction has either the old ones or the new ones. errBusy says that somebody had
// them for too long.
func (s shadow) lock(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `set local lock_timeout = '100ms'`); err != nil {
		return err
	}
	var tables []string
	for _, table := range s.projection.Tables() {
		tables = append(tables, quote(s.live, table))
	}
	_, err := tx.Exec(ctx, `lock table `+strings.Join(tables, ", ")+` in access exclusive mode`)
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == "55P03" || answer.Code == "40P01") {
		return errBusy
	}
	return err
}

var errBusy = errors.New("somebody reads the tables, perhaps a dump")

// swap puts the copy in the place of the live tables, whose rows stay until they are
// dropped. The tables are locked.
func (s shadow) swap(ctx context.Context, tx pgx.Tx) error {
	flight := &pgx.Batch{}
	flight.Queue(`create schema ` + quote(s.old))
	for _, table := range s.projection.Tables() {
		flight.Queue(`alter table ` + quote(s.live, table) + ` set schema ` + quote(s.old))
	}
	for _, table := range s.projection.Tables() {
		flight.Queue(`alter table ` + quote(s.copy, table) + ` set schema ` + quote(s.live))
	}
	return tx.SendBatch(ctx, flight).Close()
}
