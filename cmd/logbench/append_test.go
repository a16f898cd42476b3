package logbench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
)

// appends is a load of pushes by writers who are spread over nodes, on a database of its
// own, and R(writers) beside it.
func appends(b *testing.B, writers, nodes int) (ours, raw func() load) {
	b.Helper()
	s := theServer(b)
	url := s.database(b)
	pool := connect(b, url)
	var all []*node
	for i := range nodes {
		all = append(all, openNode(b, pool, fmt.Sprint("node-", i+1)))
		all[i].log.SetAlone(nodes == 1)
	}
	pushing := pushers(b, all, writers)
	ours = func() load {
		return s.run(b, writers, func(ctx context.Context, w int) error { return pushing[w].push(ctx) })
	}
	return ours, s.raw(b, url, writers, nil)
}

func appendAt(writers, nodes int) func(*testing.B) float64 {
	return func(b *testing.B) float64 {
		ours, raw := appends(b, writers, nodes)
		return paired(b, ours, raw, throughput)
	}
}

func appendCPU(b *testing.B) float64 {
	ours, raw := appends(b, 64, 1)
	return paired(b, ours, raw, func(ours, raw load) float64 { return ours.cpuPerOperation() / raw.cpuPerOperation() })
}

func appendP99(b *testing.B) float64 {
	ours, raw := appends(b, 64, 1)
	return paired(b, ours, raw, func(ours, raw load) float64 { return float64(ours.quantile(0.99)) / float64(raw.quantile(0.99)) })
}

// distance is how far away the server is in appendFar, there and back.
const distance = 500 * time.Microsecond

func appendFar(b *testing.B) float64 {
	s := theServer(b)
	url := s.database(b)
	far := func(config *pgx.ConnConfig) {
		dial := config.DialFunc
		config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newFarConn(conn, distance), nil
		}
	}
	near := connect(b, url)
	config := near.Config()
	far(config.ConnConfig)
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	alone := openNode(b, pool, "far")
	alone.log.SetAlone(true)
	pushing := pushers(b, []*node{alone}, 1)
	ours := func() load {
		return s.run(b, 1, func(ctx context.Context, w int) error { return pushing[w].push(ctx) })
	}
	return paired(b, ours, s.raw(b, url, 1, far), func(ours, raw load) float64 {
		return float64(ours.quantile(0.5)) / float64(raw.quantile(0.5))
	})
}

// wakeUp compares the throughput of 64 writers with three other nodes listening to that
// with none.
func wakeUp(b *testing.B) float64 {
	s := theServer(b)
	url := s.database(b)
	pool := connect(b, url)
	n := openNode(b, pool, "node")
	pushing := pushers(b, []*node{n}, 64)
	ours := func() load {
		return s.run(b, 64, func(ctx context.Context, w int) error { return pushing[w].push(ctx) })
	}
	return paired(b, func() load {
		n.log.SetAlone(false)
		defer n.log.SetAlone(true)
		for range 3 {
			other, err := eventstore.Open(b.Context(), pool, eventstore.Options{Types: eventstore.Types()})
			if err != nil {
				b.Fatal(err)
			}
			defer other.Close()
		}
		return ours()
	}, ours, throughput)
}

// shareOfCopy compares pushes with the fastest way to get the same rows into the same
// table: COPY by one connection.
func shareOfCopy(b *testing.B) float64 {
	ours, _ := appends(b, 150, 1)
	s := theServer(b)
	url := s.database(b)
	owner, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = owner.Close(context.Background()) })
	const rows = 100_000
	position := int64(0)
	body := `{"pack":{"bytes":812,"id":"` + strings.Repeat("a1", 20) + `","objects":3},"updates":[{"name":"refs/heads/main","new":"` +
		strings.Repeat("b2", 20) + `","old":"` + strings.Repeat("c3", 20) + `"}]}`
	meta := `{"actor":12,"auth":"token","commitments":{"origin":"` + strings.Repeat("d", 43) + `"},"node":"node-1","request":"0123456789abcdef"}`
	ceiling := func() load {
		start := time.Now()
		_, err := owner.CopyFrom(b.Context(), pgx.Identifier{"log", "events"}, []string{"position", "version", "at", "id", "stream", "type", "body", "meta"},
			pgx.CopyFromSlice(rows, func(int) ([]any, error) {
				position++
				return []any{position, position, start, [16]byte{15: byte(position)}, fmt.Sprint("repository/", position%1500),
					"repository.refs_updated.v1", json.RawMessage(body), json.RawMessage(meta)}, nil
			}))
		if err != nil {
			b.Fatal(err)
		}
		return load{done: rows, took: time.Since(start), latencies: []time.Duration{time.Since(start)}}
	}
	return paired(b, ours, ceiling, throughput)
}
