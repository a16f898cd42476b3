package logbench

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
)

// A log is replayed in pages of a size that a rebuild reads.
const (
	replayEvents = 200_000
	replayPage   = 5000
)

// pushLog makes a log of pushes: one push, copied with other ids and streams.
func pushLog(b *testing.B) *eventstore.Log {
	b.Helper()
	pool := connect(b, theServer(b).database(b))
	log := openNode(b, pool, "bench").log
	push := repository.RefsUpdated{
		Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: git.ObjectID{1}, New: git.ObjectID{2}}},
		Pack:    &git.Pack{ID: git.ObjectID{3}, Objects: 3, Bytes: 512},
	}
	const request = "0193583e-8f3c-7c9e-9b57-0d8f4c3b2a10"
	_, err := log.Append(b.Context(), eventstore.Proposal{
		Stream: domain.RepositoryStream(1), Events: []domain.Event{push},
		Meta: domain.Metadata{Actor: 7, Auth: "token:3", Address: "203.0.113.9", RequestID: request, Correlation: request},
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, sql := range []string{
		`insert into log.events (position, version, at, id, stream, type, body, meta)
		 select n, 1 + n / 100, at, gen_random_uuid(), 'repository/' || 2 + n % 100, type, body, meta
		 from log.events, generate_series(2, $1) n where position = 1`,
		`insert into log.personal (position, part, subject, salt, data)
		 select n, part, subject, salt, data from log.personal, generate_series(2, $1) n where position = 1`,
	} {
		if _, err := pool.Exec(b.Context(), sql, replayEvents); err != nil {
			b.Fatal(err)
		}
	}
	return log
}

// replayStored reads envelopes: millions of events for a second of this process's CPU.
func replayStored(b *testing.B) float64 {
	log := pushLog(b)
	return replay(b, func(after int64) (int, error) {
		page, err := log.ReadStored(b.Context(), after, replayPage)
		return len(page), err
	})
}

// replayFolded reads events with their personal parts and folds them into where each ref
// points: millions for a second of this process's CPU.
func replayFolded(b *testing.B) float64 {
	type ref struct {
		stream domain.Stream
		name   string
	}
	log, refs := pushLog(b), map[ref]git.ObjectID{}
	return replay(b, func(after int64) (int, error) {
		page, err := log.ReadAll(b.Context(), after, replayPage)
		for _, e := range page {
			if push, ok := e.Event.(repository.RefsUpdated); ok {
				for _, u := range push.Updates {
					refs[ref{e.Stream, u.Name}] = u.New
				}
			}
		}
		return len(page), err
	})
}

func replay(b *testing.B, read func(after int64) (int, error)) float64 {
	b.Helper()
	// One core: on more, the collector's idle workers count as if they were needed.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	rates := make([]float64, repetitions)
	for i := range rates {
		begun, cpu := time.Now(), ownCPU(b)
		for after := 0; after < replayEvents; {
			n, err := read(int64(after))
			if err != nil || n == 0 {
				b.Fatalf("%d events after %d: %v", n, after, err)
			}
			after += n
		}
		rates[i] = replayEvents / (ownCPU(b) - cpu).Seconds() / 1e6
		b.Logf("%.2f M events/s of CPU, %.2f M events/s", rates[i], replayEvents/time.Since(begun).Seconds()/1e6)
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// ownCPU is the processor time that this process has used.
func ownCPU(b *testing.B) time.Duration {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	return time.Duration(own.Utime.Nano() + own.Stime.Nano())
}
