package uploadpack

import (
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
func (c *conversation) advertiseRefs() {
	if c.transport.Version == protocol.V1 {
		_ = c.lines.Printf("version 1\n")
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
	line := func(id git.ObjectID, name string) {
		_ = c.lines.Printf("%s %s%s\n", id, name, list)
		list = "" // on the first line only
	}
	if born {
		line(head.ID, "HEAD")
	}
	for ref := range c.repo.Snapshot.Refs.Prefixed("") {
		line(ref.ID, ref.Name)
		if !ref.Peeled.IsZero() {
			line(ref.Peeled, ref.Name+"^{}")
		}
	}
	if list != "" {
		line(git.ZeroID, "capabilities^{}")
	}
	_ = c.lines.Flush()
}
