package logbench

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/refs"
	"github.com/annal-git/annal/projections/rules"
)

// repositoriesEach is how many repositories a writer pushes to in turn.
const repositoriesEach = 10

// node is the part of a node that a push goes through once its objects are stored.
type node struct {
	log    *eventstore.Log
	reader *refs.Reader
}

func openNode(b testing.TB, pool *pgxpool.Pool, name string) *node {
	b.Helper()
	log, err := eventstore.Open(b.Context(), pool, eventstore.Options{
		Types: eventstore.Types(), Node: name, Log: slog.New(slog.DiscardHandler),
		Inline: []eventstore.Inline{catalog.Projection{}, access.Projection{}, rules.Projection{}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(log.Close)
	n := &node{log, refs.NewReader(pool, log, 64<<20)}
	log.Arbitrate(refs.NewArbiter(n.reader))
	return n
}

// pusher pushes commit after commit to the main branches of its repositories.
type pusher struct {
	node  *node
	first domain.RepositoryID
	count uint64
	tips  [repositoriesEach]git.ObjectID
	meta  domain.Metadata
}

// pushers makes a project with repositories for each writer, who are spread over the nodes.
func pushers(b testing.TB, nodes []*node, writers int) []*pusher {
	b.Helper()
	log := nodes[0].log
	_, err := log.Append(b.Context(), eventstore.Proposal{Stream: domain.ProjectStream(1), Events: []domain.Event{project.Created{ID: 1, Settings: project.Settings{Key: "P", Name: "P"}}}})
	if err != nil {
		b.Fatal(err)
	}
	all := make([]*pusher, writers)
	var wg sync.WaitGroup
	for w := range all {
		all[w] = &pusher{node: nodes[w%len(nodes)], first: domain.RepositoryID(w*repositoriesEach + 1), meta: domain.Metadata{
			Actor: domain.UserID(w + 1), Auth: "token", Address: "192.0.2.77", RequestID: "0123456789abcdef",
		}}
		wg.Go(func() {
			for i := range repositoriesEach {
				id := all[w].first + domain.RepositoryID(i)
				_, err := log.Append(b.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(id), Events: []domain.Event{repository.Created{
					ID: id, Storage: fmt.Sprintf("%020d", id), Project: 1, Name: fmt.Sprint("r", id), Slug: fmt.Sprint("r", id), DefaultBranch: "refs/heads/main",
				}}})
				if err != nil {
					b.Error(err)
				}
				if err := all[w].push(b.Context()); err != nil { // the first one makes the branch
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return all
}

// push makes the next push and waits until it is durable.
func (p *pusher) push(ctx context.Context) error {
	i := p.count % repositoriesEach
	id := p.first + domain.RepositoryID(i)
	p.count++
	old, next, pack := p.tips[i], object(id, p.count), object(-id, p.count)
	results, err := refs.Push(ctx, p.node.log, id, repository.PushRefs{
		Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: old, New: next}},
		Pack:    &git.Pack{ID: pack, Objects: 3, Bytes: 812},
	}, p.meta)
	if err != nil {
		return err
	}
	if !results[0].OK() {
		return fmt.Errorf("push to %d: %s", id, results[0].Reason)
	}
	p.tips[i] = next
	return nil
}

func object(id domain.RepositoryID, n uint64) (o git.ObjectID) {
	binary.BigEndian.PutUint64(o[:], uint64(id)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(o[12:], n*0xbf58476d1ce4e5b9)
	return o
}
