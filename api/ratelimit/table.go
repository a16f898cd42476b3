package ratelimit

import (
	"sync"
	"time"

	domain "github.com/annal-git/annal/domain/ratelimit"
)

// table is this node's view of the buckets of callers, who are known by K. The zero table is
// not of use: see newTable.
type table[K comparable] struct {
	most int // callers that are kept

	mu      sync.Mutex
	buckets map[K]*bucket[K]
	touched []*bucket[K] // those that there is something to tell about
}

// bucket is the view of one bucket.
type bucket[K comparable] struct {
	domain.Bucket
	key     K
	limit   domain.Limit
	spent   float64   // tokens that were given and not settled
	since   time.Time // when the first of them was given
	refused int64     // requests that were refused and not recorded
	last    time.Time // when one was refused
	touched bool      // it is in the list
}

func newTable[K comparable](most int) *table[K] {
	return &table[K]{most: most, buckets: map[K]*bucket[K]{}}
}

// take takes a token, or returns how long it is until there is one.
func (t *table[K]) take(key K, limit domain.Limit, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[key]
	if b == nil {
		b = t.add(key)
	}
	b.limit = limit
	if wait = b.Take(now, limit); wait > 0 {
		b.refused, b.last = b.refused+1, now
	} else {
		if b.spent == 0 {
			b.since = now
		}
		b.spent++
	}
	if !b.touched && len(t.touched) < t.most {
		b.touched, t.touched = true, append(t.touched, b)
	}
	return wait
}

// add makes a bucket, in the place of any other if there are too many: whoever loses his gets a
// full one here, until it is settled.
func (t *table[K]) add(key K) *bucket[K] {
	if len(t.buckets) >= t.most {
		for other := range t.buckets { // in no order
			delete(t.buckets, other)
			break
		}
	}
	b := &bucket[K]{key: key}
	t.buckets[key] = b
	return b
}

// due is what there is to tell about one caller.
type due[K comparable] struct {
	bucket  *bucket[K]
	limit   domain.Limit
	spent   float64
	since   time.Time
	refused int64
	last    time.Time
}

// collect returns what there is to tell and takes it for told. What was given over a time in
// which nobody could be told counts for no more than a full bucket and a second's worth: the
// balance has filled up meanwhile, too.
func (t *table[K]) collect() []due[K] {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]due[K], len(t.touched))
	for i, b := range t.touched {
		list[i] = due[K]{b, b.limit, min(b.spent, float64(b.limit.Capacity+b.limit.FillRate)), b.since, b.refused, b.last}
		b.spent, b.refused, b.touched = 0, 0, false
	}
	t.touched = t.touched[:0]
	if cap(t.touched) > 1024 {
		t.touched = nil
	}
	return list
}

// settled takes over what is left in a bucket, as of a moment. There is never more than this
// node believes: the others only take.
func (t *table[K]) settled(b *bucket[K], left float64, asOf time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	shared := domain.Bucket{Tokens: left - b.spent, At: asOf}
	shared.Fill(b.At, b.limit)
	if b.Fill(asOf, b.limit); shared.Tokens < b.Tokens {
		b.Bucket = shared
	}
}

// unsettled takes back that uses were told.
func (t *table[K]) unsettled(list []due[K]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range list {
		if d.bucket.spent == 0 || d.since.Before(d.bucket.since) {
			d.bucket.since = d.since
		}
		d.bucket.spent += d.spent
		if !d.bucket.touched && len(t.touched) < t.most {
			d.bucket.touched, t.touched = true, append(t.touched, d.bucket)
		}
	}
}

// forget forgets full buckets: one that is not there is full.
func (t *table[K]) forget(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, b := range t.buckets {
		if b.Fill(now, b.limit); !b.touched && b.Tokens >= float64(b.limit.Capacity) {
			delete(t.buckets, key)
		}
	}
}
