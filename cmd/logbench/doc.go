// Package logbench measures the event log against the bars that Annal sets itself. Most
// are ratios to R(n), a trivial one-row durable insert over n connections to the same
// server, measured alternately with the bar's own load, so that the speed of the machine
// falls out. Run it as: go tool task bench:log
package logbench
