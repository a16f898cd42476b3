// Package ratelimit keeps what is set about rate limits, in the transaction that appends its
// events, and beside it what is no projection: the balances of callers, which all nodes share,
// and who was refused. adr/0001 says how exact the balances are.
package ratelimit
