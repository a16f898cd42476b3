package logbench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/audit"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/evidence"
)

const benchCluster = "018f3a1c-7b3e-7c55-9d1e-2f6b8a9c0d11"

// The log that is verified: pushes to some repositories, signed each second of a busy
// installation.
const (
	auditEvents       = 200_000
	auditRepositories = 100
	auditSigned       = 5000 // events between checkpoints
)

// signedLog is an honest log in memory. It implements audit.Source.
type signedLog struct {
	header  audit.Header
	entries []audit.Entry
	notes   map[int]string // by size
	at      int
}

func (l *signedLog) Header() audit.Header { return l.header }

func (l *signedLog) Next(context.Context) (*audit.Page, error) {
	if l.at == len(l.entries) {
		return nil, io.EOF
	}
	to := min(l.at+auditSigned, len(l.entries))
	page := &audit.Page{Entries: l.entries[l.at:to], Last: to == len(l.entries)}
	if signed := l.notes[to]; signed != "" {
		page.Notes = []audit.Note{{After: to - l.at, Signed: signed}}
	}
	l.at = to
	return page, nil
}

// auditLog makes the export that is verified.
var auditLog = sync.OnceValue(func() []byte {
	key, err := tree.NewKey()
	if err != nil {
		panic(err)
	}
	l := &signedLog{notes: map[int]string{}, header: audit.Header{Cluster: benchCluster, From: 1, To: auditEvents, Personal: true, PublicKey: tree.PublicKeyText(key.Public())}}
	var frontier tree.Frontier
	versions, tips, start := map[domain.Stream]int64{}, map[domain.RepositoryID]git.ObjectID{}, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	salt := []byte("0123456789abcdef")
	add := func(stream domain.Stream, id uuid.UUID, meta string, event domain.Event, body []byte, personal ...audit.PersonalData) {
		versions[stream]++
		position := int64(len(l.entries) + 1)
		s := eventstore.Stored{
			Position: position, Stream: stream, Version: versions[stream], ID: id.String(), Type: event.EventType(),
			// Some of them in one batch.
			At: start.Add(time.Duration(position/4) * 800 * time.Microsecond), Body: body, Meta: []byte(meta),
		}
		e := audit.Entry{Position: position, Leaf: s.AppendLeaf(nil), Personal: personal}
		hash := tlog.Hash(eventstore.LeafHash(e.Leaf))
		e.Hash, e.Hashed = hash, true
		frontier.Append(hash)
		l.entries = append(l.entries, e)
		if position%auditSigned == 0 {
			l.notes[int(position)], err = key.Sign(tree.Checkpoint{Origin: tree.Origin(benchCluster, 1), Size: position, Root: frontier.Root()})
			if err != nil {
				panic(err)
			}
		}
	}
	profile := []byte(`{"name":"x"}`)
	setup := uuid.Must(uuid.NewV7())
	add(domain.ClusterStream, uuid.Must(uuid.NewV7()), `{"auth":"system"}`, cluster.Created{}, fmt.Appendf(nil, `{"id":%q,"name":"bench"}`, benchCluster))
	add("user/1", setup, fmt.Sprintf(`{"auth":"setup","commitments":{"event":%q}}`, eventstore.Commitment(salt, profile)), account.Created{},
		[]byte(`{"id":1,"setUp":true,"type":"NORMAL"}`), audit.PersonalData{Part: "event", Subject: 1, Salt: salt, Data: profile})
	add("user/1", setup, `{"auth":"setup"}`, access.Granted{}, []byte(`{"permission":"SYS_ADMIN","user":1}`))
	address := []byte(`{"address":"203.0.113.9"}`)
	meta := fmt.Sprintf(`{"actor":1,"auth":"password","commitments":{"origin":%q},"node":"node-1","request":"0193583e-8f3c-7c9e-9b57-0d8f4c3b2a10"}`, eventstore.Commitment(salt, address))
	origin := audit.PersonalData{Part: "origin", Subject: 1, Salt: salt, Data: address}
	for id := range domain.RepositoryID(auditRepositories) {
		add(domain.RepositoryStream(id+1), uuid.Must(uuid.NewV7()), meta, repository.Created{},
			fmt.Appendf(nil, `{"defaultBranch":"refs/heads/main","id":%d,"name":"r","project":1,"slug":"r","storage":"6d0c4f0e-5b1a-4f6e-9c59-0d8f4c3b2a10"}`, id+1), origin)
	}
	for n := uint64(1); len(l.entries) < auditEvents; n++ {
		id := domain.RepositoryID(1 + n%auditRepositories)
		next := git.ObjectID{}
		binary.BigEndian.PutUint64(next[:], n)
		push := repository.RefsUpdated{
			Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: tips[id], New: next}},
			Pack:    &git.Pack{ID: next, Objects: 3, Bytes: 512},
		}
		tips[id] = next
		add(domain.RepositoryStream(id), uuid.Must(uuid.NewV7()), meta, push, push.AppendJSON(nil), origin)
	}
	l.header.Checkpoint = l.notes[auditEvents]
	var out bytes.Buffer
	if err := audit.Write(context.Background(), &out, l, nil); err != nil {
		panic(err)
	}
	return out.Bytes()
})

// verifying is how many million events are verified in a second of processor time.
func verifying(b *testing.B) float64 {
	b.Logf("signatures and tree only: %.2f M events/s of CPU", verify(b, true))
	return verify(b, false)
}

func verify(b *testing.B, treeOnly bool) float64 {
	b.Helper()
	data := auditLog()
	return onOneCore(b, func() {
		export, err := audit.OpenExport(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		report, err := audit.Verify(b.Context(), export, audit.Options{Types: eventstore.Types(), TreeOnly: treeOnly})
		if err != nil || !report.Whole() || report.Events != auditEvents {
			b.Fatalf("%v %+v", err, report)
		}
	})
}

// rehashing is how many million events are hashed, and added to the tree, in a second of
// processor time: what verifying cannot do without.
func rehashing(b *testing.B) float64 {
	export, err := audit.OpenExport(bytes.NewReader(auditLog()))
	if err != nil {
		b.Fatal(err)
	}
	var leaves [][]byte
	for len(leaves) < auditEvents {
		page, err := export.Next(b.Context())
		if err == nil {
			err = page.Parse(page)
		}
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range page.Entries {
			leaves = append(leaves, e.Leaf)
		}
	}
	return onOneCore(b, func() {
		var f tree.Frontier
		for _, leaf := range leaves {
			f.Append(eventstore.LeafHash(leaf))
		}
		if f.Size() != auditEvents {
			b.Fatal("no tree")
		}
	})
}

// onOneCore is how many million events do works on in a second of processor time.
func onOneCore(b *testing.B, do func()) float64 {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	rates := make([]float64, repetitions)
	for i := range rates {
		cpu := ownCPU(b)
		do()
		rates[i] = auditEvents / (ownCPU(b) - cpu).Seconds() / 1e6
	}
	slices.Sort(rates)
	b.Logf("%.2f to %.2f M events/s of CPU", rates[0], rates[len(rates)-1])
	return rates[len(rates)/2]
}

// hashing is what a push pays for the log's evidence, in microseconds: one commitment.
func hashing(b *testing.B) float64 {
	const count = 200_000
	salt, address, cpu := make([]byte, 16), []byte(`{"address":"203.0.113.9"}`), ownCPU(b)
	for n := range uint64(count) {
		binary.LittleEndian.PutUint64(salt, n)
		if len(eventstore.Commitment(salt, address)) != 43 {
			b.Fatal("no commitment")
		}
	}
	return float64((ownCPU(b) - cpu).Microseconds()) / count
}

// signing is the time from the answer to a push to the checkpoint that covers it, p99 in
// seconds, under a steady load.
func signing(b *testing.B) float64 {
	s := theServer(b)
	url := s.database(b)
	pool := connect(b, url)
	n := openNode(b, pool, "node-1")
	if _, err := n.log.Append(b.Context(), eventstore.Proposal{Stream: domain.ClusterStream, Events: []domain.Event{cluster.Created{ID: benchCluster, Name: "bench"}}}); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	config := tree.Config{Log: n.log, Table: tree.NewTable(pool), Dir: filepath.Join(dir, "log"), KeyFile: filepath.Join(dir, "keys", "key.pem"), Logger: slog.New(slog.DiscardHandler)}
	if err := tree.PrepareKey(b.Context(), config); err != nil {
		b.Fatal(err)
	}
	services, err := evidence.New(evidence.Config{
		Log: n.log, Integrator: tree.NewIntegrator(config), Witness: tree.NewWitness(config, filepath.Join(dir, "witness")), Leases: alone{}, Logger: config.Logger,
	})
	if err != nil {
		b.Fatal(err)
	}
	integrator, witness := services.Services()
	group := workers.NewGroup(config.Logger)
	group.Start(b.Context(), integrator)
	group.Start(b.Context(), witness)
	defer group.Stop()
	const writers, span = 16, 10 * time.Second
	pushing := pushers(b, []*node{n}, writers)
	type acknowledged struct {
		at   time.Time
		head int64
	}
	var mu sync.Mutex
	var pushes []acknowledged
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for end := time.Now().Add(span); time.Now().Before(end); {
				if err := pushing[w].push(b.Context()); err != nil {
					b.Error(err)
					return
				}
				at := time.Now()
				head, _ := n.log.Await(b.Context(), 0) // at least this push's own position
				mu.Lock()
				pushes = append(pushes, acknowledged{at, head})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	head, _ := n.log.Await(b.Context(), 0)
	for row := (tree.Row{}); row.Size < head; {
		if row, _, err = config.Table.Newest(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
	rows, err := config.Table.After(b.Context(), 0, 0, 1000)
	if err != nil {
		b.Fatal(err)
	}
	lags := make([]float64, len(pushes))
	for i, p := range pushes {
		covering := slices.IndexFunc(rows, func(r tree.Row) bool { return r.Size >= p.head })
		lags[i] = rows[covering].At.Sub(p.at).Seconds()
	}
	slices.Sort(lags)
	b.Logf("%d pushes, %d checkpoints, lag p50 %.2f s, p99 %.2f s, most %.2f s", len(lags), len(rows), lags[len(lags)/2], lags[len(lags)*99/100], lags[len(lags)-1])
	return lags[len(lags)*99/100]
}

// alone is a lease of which there is only one holder.
type alone struct{}

func (alone) Hold(ctx context.Context, _ string, work func(context.Context, int64) error) error {
	return work(ctx, 1)
}

// proving is the time to prove that an event is among ten million, p99 in milliseconds,
// from tiles that are on the disk and not in memory.
func proving(b *testing.B) float64 {
	const size = 10_000_000
	dir := b.TempDir()
	root := writeTiles(b, filepath.Join(dir, "1"), size)
	folder, c := tree.EpochFolder(dir, 1), tree.Checkpoint{Size: size, Root: root}
	forget(b, dir)
	times := make([]float64, 1000)
	for i := range times {
		position := 1 + rand.Int64N(size)
		begun := time.Now()
		proof, err := folder.ProveEvent(c, position)
		times[i] = float64(time.Since(begun).Microseconds()) / 1000
		if err != nil || tlog.CheckRecord(proof, size, root, position-1, leafOf(position-1)) != nil || len(proof) > 24 {
			b.Fatalf("position %d: %d hashes, %v", position, len(proof), err)
		}
	}
	slices.Sort(times)
	b.Logf("p50 %.2f ms, p99 %.2f ms, most %.2f ms", times[len(times)/2], times[len(times)*99/100], times[len(times)-1])
	return times[len(times)*99/100]
}

func leafOf(index int64) tlog.Hash {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(index)))
}

// writeTiles writes the tiles of a tree as an integrator would, without its care.
func writeTiles(b *testing.B, dir string, size int64) tlog.Hash {
	b.Helper()
	hashes := make([]tlog.Hash, size)
	var all tree.Frontier
	for i := range hashes {
		hashes[i] = leafOf(int64(i))
		all.Append(hashes[i])
	}
	for level := 0; len(hashes) > 0; level++ {
		var above []tlog.Hash
		for index := 0; index*tree.TileWidth < len(hashes); index++ {
			part := hashes[index*tree.TileWidth : min((index+1)*tree.TileWidth, len(hashes))]
			var data []byte
			var root tree.Frontier
			for _, h := range part {
				data = append(data, h[:]...)
				root.Append(h)
			}
			if len(part) == tree.TileWidth {
				above = append(above, root.Root())
			}
			file := filepath.Join(dir, tree.TilePath(level, int64(index), len(part)))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		hashes = above
	}
	return all.Root()
}

// forget has the system drop files from its memory.
func forget(b *testing.B, dir string) {
	b.Helper()
	syscall.Sync()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
	if err != nil {
		b.Fatal(err)
	}
}
