package uploadpack

import (
	"fmt"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/protocol"
)

// advertiseCapabilities writes the first message of version 2.
func (c *conversation) advertiseCapabilities() {
	for _, line := range []string{
		"version 2",
		"agent=" + c.config.Agent,
		"ls-refs=unborn",
		"fetch=shallow wait-for-done filter ref-in-want",
		"server-option",
		"object-format=" + protocol.ObjectFormat,
		"object-info",
	} {
		// Errors stay in the writer until it is flushed.
		_ = c.lines.Printf("%s\n", line)
	}
	_ = c.lines.Flush()
}

// advertiseRefs writes the first message of versions 0 and 1.
func (c *conversation) advertiseRefs() error {
	question := fmt.Appendf(nil, "advertise %d %t", c.transport.Version, c.transport.Stateless)
	return c.answer(question, c.listAdvertised)
}

func (c *conversation) listAdvertised(l *refLines) {
	if c.transport.Version == protocol.V1 {
		at := l.begin()
		l.text("version 1\n")
		l.end(at)
	}
	capabilities := []string{
		"multi_ack", "thin-pack", "side-band", "side-band-64k", "ofs-delta", "shallow",
		"deepen-since", "deepen-not", "deepen-relative", "no-progress", "include-tag",
		"multi_ack_detailed", "allow-tip-sha1-in-want", "allow-reachable-sha1-in-want",
	}
	if c.transport.Stateless {
		capabilities = append(capabilities, "no-done")
	}
	head, born := c.head()
	if born {
		capabilities = append(capabilities, "symref=HEAD:"+head.Name)
	}
	capabilities = append(capabilities, "filter",
		"object-format="+protocol.ObjectFormat, "agent="+c.config.Agent)
	list := "\x00" + strings.Join(capabilities, " ")
	line := func(id git.ObjectID, name, suffix string) {
		at := l.begin()
		l.id(id)
		l.text(" ")
		l.text(name)
		l.text(suffix)
		l.text(list)
		l.text("\n")
		l.end(at)
		list = "" // on the first line only
	}
	if born {
		line(head.ID, "HEAD", "")
	}
	for ref := range c.repo.Snapshot.Refs.Prefixed("") {
		line(ref.ID, ref.Name, "")
		if !ref.Peeled.IsZero() {
			line(ref.Peeled, ref.Name, "^{}")
		}
	}
	if list != "" {
		line(git.ZeroID, "capabilities", "^{}")
	}
}
