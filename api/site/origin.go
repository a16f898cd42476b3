package site

import (
	"context"
	"net"
	"net/http"
)

// Origin is where a request comes from.
type Origin struct {
	Address   string // without a port
	RequestID string
}

type originKey struct{}

// WithOrigin makes a context that says where a request comes from. Those of requests over HTTP do.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf is where the request comes from that a context belongs to; zero if it does not say.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

func originOf(r *http.Request, id string) Origin {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	return Origin{address, id}
}
