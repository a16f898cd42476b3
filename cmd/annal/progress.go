package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress shows how far a long command is, at most ten times a second.
type progress struct {
	w     io.Writer
	bytes bool // what is counted; else events
	begun time.Time
	shown time.Time
}

func (p *progress) show(done, all int64) {
	if time.Since(p.shown) < 100*time.Millisecond && done < all {
		return
	}
	p.shown = time.Now()
	if p.begun.IsZero() {
		p.begun = p.shown
	}
	const width = 30
	full := int(width * done / max(all, 1))
	line := fmt.Sprintf("[%s%s] %s of %s", strings.Repeat("#", full), strings.Repeat(".", width-full), p.figure(done), p.amount(all))
	if took := p.shown.Sub(p.begun).Seconds(); took > 0.5 && done > 0 {
		speed := float64(done) / took
		line += fmt.Sprintf(", %s/s, %.0f s remain", p.amount(int64(speed)), float64(all-done)/speed)
	}
	fmt.Fprintf(p.w, "\r%-90s", line)
}

func (p *progress) end() {
	if !p.shown.IsZero() {
		fmt.Fprintln(p.w)
	}
}

func (p *progress) figure(n int64) string {
	if p.bytes {
		return fmt.Sprintf("%.1f", float64(n)/(1<<20))
	}
	return fmt.Sprint(n)
}

func (p *progress) amount(n int64) string {
	if p.bytes {
		return p.figure(n) + " MiB"
	}
	return p.figure(n) + " events"
}
