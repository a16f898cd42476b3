package ssh

import (
	"net"
	"sync"
)

// limiter bounds how many there are of something, in total and of each origin. It is an
// address, and of IPv6 a network of 64 bits, which is what one customer has; or anything else.
type limiter struct {
	total, perOrigin int

	mu      sync.Mutex // guards what follows
	all     int
	origins map[string]int // none that is 0
}

func newLimiter(total, perOrigin int) *limiter {
	return &limiter{total: total, perOrigin: perOrigin, origins: map[string]int{}}
}

// enter counts one of unknown origin, which must leave; not ok if there are too many.
func (l *limiter) enter() (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.total {
		return false
	}
	l.all++
	return true
}

func (l *limiter) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
}

// enterFrom counts one of an origin; leaveFrom ends that.
func (l *limiter) enterFrom(origin string) (ok bool) {
	key := network(origin)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.origins[key] >= l.perOrigin {
		return false
	}
	l.origins[key]++
	return true
}

func (l *limiter) leaveFrom(origin string) {
	key := network(origin)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.origins[key]--; l.origins[key] <= 0 {
		delete(l.origins, key)
	}
}

func network(origin string) string {
	ip := net.ParseIP(origin)
	if ip == nil || ip.To4() != nil {
		return origin
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}
