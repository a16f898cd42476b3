package domain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/annal-git/annal/domain"
)

func TestParseMoment(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]domain.Moment{
		"1": {Position: 1}, "4711": {Position: 4711},
		"2026-01-31T12:00:00Z": {Time: noon}, "2026-01-31T13:00:00+01:00": {Time: noon},
		"20260131T120000Z": {Time: noon}, "2026-01-31": {Time: noon.Add(-12 * time.Hour)},
		"2026-01-31T12:00:00.5Z": {Time: noon.Add(time.Second / 2)},
	} {
		if got, err := domain.ParseMoment(text); err != nil || got != want {
			t.Errorf("%s is %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "+1", "1.5", "9223372036854775807", "99999999999999999999", "x", "2026-02-30", "2026-01-31T12:00:00", "yesterday", strings.Repeat("9", 1000),
	} {
		var invalid *domain.InvalidError
		if got, err := domain.ParseMoment(text); !errors.As(err, &invalid) || len(err.Error()) > 300 {
			t.Errorf("%.20q is %+v (%v)", text, got, err)
		}
	}
}
