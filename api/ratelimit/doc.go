// Package ratelimit lets requests through as long as their caller has tokens, whatever they
// come by, and tells him when to come back if not. A request costs no question to the
// database: each node gives tokens out of its own view of a bucket and settles some times a
// second what it has given with the other nodes (projections/ratelimit/adr/0001).
package ratelimit
