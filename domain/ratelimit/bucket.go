package ratelimit

import (
	"time"
)

// Limit is what a bucket can hold and how fast it fills.
type Limit struct {
	Capacity int `json:"capacity"` // tokens, which is how many requests can come at once
	FillRate int `json:"fillRate"` // tokens per second
}

// Default is the limit of an installation whose administrators have set none.
var Default = Limit{Capacity: 60, FillRate: 5}

// Bucket holds the tokens of one caller. The zero Bucket is full.
type Bucket struct {
	Tokens float64   // at the moment At; negative if more was taken than there was
	At     time.Time // zero: the bucket was never used
}

// Fill brings a bucket up to a moment. A clock that goes back fills nothing.
func (b *Bucket) Fill(now time.Time, l Limit) {
	most := float64(l.Capacity)
	switch {
	case b.At.IsZero():
		b.Tokens, b.At = most, now
	case now.After(b.At):
		b.Tokens, b.At = b.Tokens+now.Sub(b.At).Seconds()*float64(l.FillRate), now
	}
	b.Tokens = min(b.Tokens, most) // or it was larger once
}

// Settle takes tokens that were given without asking, the first of them some time ago, and what
// has come back since then: a bucket that was full then is not full now. projections/ratelimit
// does the same in SQL.
func (b *Bucket) Settle(now time.Time, l Limit, tokens float64, ago time.Duration) {
	first := now.Add(-ago)
	if !b.At.IsZero() && b.At.After(first) {
		first = b.At // it was settled meanwhile
	}
	b.Fill(first, l)
	b.Tokens -= tokens
	b.Fill(now, l)
}

// Take takes a token, or returns how long it is until there is one.
func (b *Bucket) Take(now time.Time, l Limit) (wait time.Duration) {
	b.Fill(now, l)
	if b.Tokens >= 1 {
		b.Tokens--
		return 0
	}
	return max(time.Duration((1-b.Tokens)/float64(l.FillRate)*float64(time.Second)), 1)
}
