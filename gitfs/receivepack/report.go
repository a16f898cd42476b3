package receivepack

import (
	"bytes"
	"strings"

	"github.com/annal-git/annal/gitfs/pktline"
)

// report tells the client what became of its push. unpack is "ok", or why the pack
// was refused.
func (p *push) report(unpack string) error {
	if !p.reports {
		return p.finish(nil)
	}
	var b bytes.Buffer
	lines := pktline.NewWriter(&b)
	_ = lines.Printf("unpack %s\n", oneLine(unpack)) // to memory
	for _, c := range p.commands {
		if c.reason == "" {
			_ = lines.Printf("ok %s\n", c.Name)
		} else {
			_ = lines.Printf("ng %s %s\n", c.Name, oneLine(c.reason))
		}
	}
	_ = lines.Flush()
	return p.finish(b.Bytes())
}

// finish ends the answer.
func (p *push) finish(report []byte) error {
	if p.band == nil {
		_, err := p.out.Write(report)
		return err
	}
	if _, err := p.band.Write(report); err != nil {
		return err
	}
	if err := p.band.Flush(); err != nil {
		return err
	}
	return pktline.NewWriter(p.out).Flush()
}

// fail ends a push that could not even be understood.
func (p *push) fail(message string) error {
	if p.band != nil {
		if err := p.band.Fatal(message); err != nil {
			return err
		}
		return pktline.NewWriter(p.out).Flush()
	}
	if p.reports {
		p.refuseAll(reasonUnpacker)
		return p.report(message)
	}
	return pktline.NewWriter(p.out).Error(message)
}

// warn shows a message to the user, if there is a way to.
func (p *push) warn(message string) {
	if p.band != nil {
		// An error stays in the side-band until the report is written.
		_ = p.band.Progress(message + "\n")
	}
}

// oneLine keeps a reason from looking like more lines of the report.
func oneLine(s string) string {
	const longest = 1000
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return s
}
