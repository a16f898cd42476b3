package site_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/site"
)

// J8 of security-cases: every route says what browsers may do with its answer.
func TestHeaders(t *testing.T) {
	t.Parallel()
	for base, strict := range map[string]string{"https://git.example.com": "max-age=31536000", "http://localhost:7990": ""} {
		e := site.New(site.Config{Metrics: prometheus.NewRegistry(), BaseURL: base, Logger: slog.New(slog.DiscardHandler)})
		for _, path := range []string{"/", "/nothing", "/metrics"} {
			r, answer := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
			r.RemoteAddr = "127.0.0.1:1"
			e.ServeHTTP(answer, r)
			header := answer.Header()
			require.Equal(t, strict, header.Get("Strict-Transport-Security"), path)
			require.Equal(t, "DENY", header.Get("X-Frame-Options"), path)
			require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
			require.Equal(t, "no-referrer", header.Get("Referrer-Policy"), path)
			require.NotEmpty(t, header.Get("X-Request-Id"), path)
		}
	}
}
