package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/annal-git/annal/domain/ratelimit"
)

// ExceededError refuses a request whose caller has made too many. Over HTTP answered 429.
type ExceededError struct {
	Limit     ratelimit.Limit
	Wait      time.Duration // until there is a token
	Anonymous bool          // he has not logged in
}

// Error is a sentence for the caller.
func (e *ExceededError) Error() string {
	if e.Anonymous {
		return fmt.Sprintf("Too many requests have come from your address without a log-in: %d at once and then %d per second are let through. Try again in %s, or log in.",
			e.Limit.Capacity, e.Limit.FillRate, seconds(e.RetryAfter()))
	}
	return fmt.Sprintf("You have made too many requests: %d at once and then %d per second are let through. Try again in %s.",
		e.Limit.Capacity, e.Limit.FillRate, seconds(e.RetryAfter()))
}

func seconds(n int) string {
	if n == 1 {
		return "1 second"
	}
	return strconv.Itoa(n) + " seconds"
}

// RetryAfter is in how many seconds there is a token, at least 1.
func (e *ExceededError) RetryAfter() int {
	return int((e.Wait + time.Second - 1) / time.Second)
}

// SetHeaders says in an answer when to come back, and what the limit is by the names that
// Atlassian's data center products give it.
func (e *ExceededError) SetHeaders(header http.Header) {
	header.Set("Retry-After", strconv.Itoa(e.RetryAfter()))
	header.Set("X-RateLimit-Limit", strconv.Itoa(e.Limit.Capacity))
	header.Set("X-RateLimit-Remaining", "0")
	header.Set("X-RateLimit-FillRate", strconv.Itoa(e.Limit.FillRate))
	header.Set("X-RateLimit-Interval-Seconds", "1")
}
