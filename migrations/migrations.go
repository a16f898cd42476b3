// Package migrations holds the schema of Annal's database as numbered pairs of
// up and down steps, and nothing else. Each step is one concern and runs in a
// transaction of its own. Steps only add until every node runs the new version.
package migrations

import "embed"

// FS holds the goose migrations, named NNNN_subject.sql.
//
//go:embed *.sql
var FS embed.FS
