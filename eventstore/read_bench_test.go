package eventstore_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

// BenchmarkRead reads a log of pushes, one of whose events is copied many times, in
// pages of 1,000. The figures are events per second of this process's own CPU.
func BenchmarkRead(b *testing.B) {
	const events = 50_000
	log, pool := eventstoretest.Log(b, eventstore.Options{})
	push := repository.RefsUpdated{
		Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: git.ObjectID{1}, New: git.ObjectID{2}}},
		Pack:    &git.Pack{ID: git.ObjectID{3}, Objects: 3, Bytes: 512},
	}
	const request = "0193583e-8f3c-7c9e-9b57-0d8f4c3b2a10"
	_, err := log.Append(b.Context(), eventstore.Proposal{
		Stream: "repository/1", Events: []domain.Event{push},
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
		if _, err := pool.Exec(b.Context(), sql, events); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		read func(after int64) (int, error)
	}{
		{"envelopes", func(after int64) (int, error) {
			page, err := log.ReadStored(b.Context(), after, 1000)
			return len(page), err
		}},
		{"decoded", func(after int64) (int, error) {
			page, err := log.ReadAll(b.Context(), after, 1000)
			return len(page), err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			read, began := 0, cpu(b)
			for b.Loop() {
				for after := 0; after < events; {
					n, err := c.read(int64(after))
					if err != nil || n == 0 {
						b.Fatal(n, err)
					}
					after += n
				}
				read += events
			}
			b.ReportMetric(float64(read)/(cpu(b)-began).Seconds(), "events/cpu-s")
		})
	}
}

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
