package receivepack

import (
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
)

// command is one update that a client asks for, and what became of it.
type command struct {
	git.RefUpdate
	reason  string // why it is refused
	missing bool   // it deletes a ref that is not there
}

// maxLine bounds a command: longer names cannot be answered in one packet.
const maxLine = 8 << 10

// maxRequest bounds all commands of a push together, in bytes.
const maxRequest = 16 << 20

// maxShallow bounds the shallow lines before the commands. What they say does not
// matter: what a push links to must be here, wherever the client's history ends.
const maxShallow = 100_000

// readRequest reads the commands and push options. No commands mean that the
// client has nothing to push. An error comes with what was read so far.
func (p *push) readRequest(in *pktline.Reader) error {
	for shallow, size := 0, 0; ; {
		line, ok, err := next(in)
		if size += len(line); size > maxRequest {
			return protocol.Refuse("the commands of the push are larger than %d bytes", maxRequest)
		}
		if err != nil {
			if errors.Is(err, io.EOF) && len(p.commands) == 0 && shallow == 0 {
				return nil
			}
			return midway(err)
		}
		if !ok {
			break
		}
		if strings.HasPrefix(line, "shallow ") && len(p.commands) == 0 {
			if shallow++; shallow > maxShallow {
				return protocol.Refuse("more than %d shallow commits", maxShallow)
			}
			continue
		}
		text, list, first := strings.Cut(line, "\x00")
		if first && len(p.commands) == 0 {
			p.use(protocol.ParseCapabilities(list))
		}
		if strings.HasPrefix(text, "push-cert") {
			return protocol.Refuse("signed pushes are not supported")
		}
		if len(p.commands) >= p.server.config.MaxCommands {
			return protocol.Refuse("push of more than %d refs at once", p.server.config.MaxCommands)
		}
		c, err := parseCommand(strings.TrimSuffix(text, "\n"))
		if err != nil {
			return err
		}
		p.commands = append(p.commands, c)
	}
	if err := p.capabilities.CheckObjectFormat(); err != nil {
		return err
	}
	if len(p.commands) == 0 || !p.capabilities.Has("push-options") {
		return nil
	}
	return p.readOptions(in)
}

// parseCommand reads "old new name".
func parseCommand(line string) (command, error) {
	const id = 2 * len(git.ZeroID)
	if len(line) > maxLine || len(line) < 2*id+3 || line[id] != ' ' || line[2*id+1] != ' ' {
		return command{}, protocol.Refuse("protocol error: expected old/new/ref, got %q", protocol.Clip(line))
	}
	from, err := protocol.ParseID(line[:id])
	if err != nil {
		return command{}, err
	}
	to, err := protocol.ParseID(line[id+1 : 2*id+1])
	if err != nil {
		return command{}, err
	}
	name := line[2*id+2:]
	// The name is repeated in the report, where it must not look like more lines.
	if strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return command{}, protocol.Refuse("invalid ref name %q: contains a control character", protocol.Clip(name))
	}
	return command{RefUpdate: git.RefUpdate{Name: name, Old: from, New: to}}, nil
}

// readOptions reads the push options. When there are too many, the rest is read
// and dropped, so that the error is only about them.
func (p *push) readOptions(in *pktline.Reader) error {
	const maxLines = 10_000
	var refused error
	for n := 0; ; n++ {
		option, ok, err := next(in)
		switch {
		case err != nil:
			return midway(err)
		case !ok:
			return refused
		case n >= maxLines:
			return refused
		case n >= p.server.config.MaxOptions:
			refused = protocol.Refuse("more than %d push options", p.server.config.MaxOptions)
		case len(option) > p.server.config.MaxOptionBytes:
			refused = protocol.Refuse("push option is longer than %d bytes", p.server.config.MaxOptionBytes)
		case !utf8.ValidString(option) || strings.IndexFunc(option, unicode.IsControl) >= 0:
			refused = protocol.Refuse("push option %q is not plain text", protocol.Clip(option))
		case strings.HasPrefix(option, repository.OwnOption):
			refused = protocol.Refuse("push options that begin with %q are the server's own", repository.OwnOption)
		case refused == nil:
			p.options = append(p.options, option)
		}
	}
}

// next reads one line of text. ok is false for the flush packet behind the last.
func next(in *pktline.Reader) (line string, ok bool, err error) {
	packet, err := in.Next()
	switch {
	case err != nil:
		return "", false, err
	case packet.Kind == pktline.Flush:
		return "", false, nil
	case packet.Kind != pktline.Data:
		return "", false, protocol.Refuse("protocol error: unexpected packet")
	}
	return packet.Text(), true, nil
}

// midway turns the end of the input within a request into an error that says so.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
