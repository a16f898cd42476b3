// Package localpostgres runs a PostgreSQL server of Annal's own in a folder: a
// unix socket only, no network, its own data. It is what "annal serve" uses when
// no database is configured, and what the tests use.
//
// The server outlives a node that is killed; the next node finds it again. Started
// as root, the server runs as an unprivileged user, because PostgreSQL refuses root.
package localpostgres
