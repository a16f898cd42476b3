package uploadpack

import (
	"strconv"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// request is what a client asks for, whatever the version of the protocol.
type request struct {
	wants    []git.ObjectID
	wantRefs []git.Ref // asked for by name
	haves    []git.ObjectID
	shallow  []git.ObjectID // where the client's history ends
	deepen   revwalk.Deepen
	notRefs  []string // deepen-not, before they are looked up
	filter   revwalk.Filter

	done        bool
	waitForDone bool

	thin, offsets, includeTag, quiet bool
	band                             int // payload of side-band packets, 0 without
}

// deepens reports whether the client asks to move the end of its history.
func (r *request) deepens() bool { return !r.deepen.IsZero() || len(r.notRefs) > 0 }

// argument reads a line that all versions have in common. It reports whether it
// knew it.
func (c *conversation) argument(r *request, line string) (known bool, err error) {
	key, value, _ := strings.Cut(line, " ")
	switch key {
	case "shallow":
		id, err := protocol.ParseID(value)
		if err != nil {
			return true, err
		}
		if len(r.shallow) >= c.config.MaxArguments {
			return true, protocol.Refuse("more than %d shallow commits", c.config.MaxArguments)
		}
		r.shallow = append(r.shallow, id)
	case "deepen":
		depth, err := strconv.ParseInt(value, 10, 64)
		if err != nil || depth <= 0 {
			return true, protocol.Refuse("invalid deepen: %q", protocol.Clip(line))
		}
		r.deepen.Depth = int(min(depth, revwalk.Unlimited))
	case "deepen-since":
		since, err := strconv.ParseInt(value, 10, 64)
		if err != nil || since <= 0 {
			return true, protocol.Refuse("invalid deepen-since: %q", protocol.Clip(line))
		}
		r.deepen.Since = since
	case "deepen-not":
		r.notRefs = append(r.notRefs, value)
	case "filter":
		r.filter, err = revwalk.ParseFilter(value)
		return true, err
	default:
		return false, nil
	}
	return true, nil
}

// resolveDeepen looks up the refs of deepen-not and checks what belongs together.
func (c *conversation) resolveDeepen(r *request) error {
	if r.deepen.Depth > 0 && (r.deepen.Since > 0 || len(r.notRefs) > 0) {
		return protocol.Refuse("deepen and deepen-since (or deepen-not) cannot be used together")
	}
	for _, name := range r.notRefs {
		ref, ok := c.findRef(name)
		if !ok {
			return protocol.Refuse("deepen-not is not a ref: %s", protocol.Clip(name))
		}
		r.deepen.Not = append(r.deepen.Not, ref.ID)
	}
	return nil
}

// findRef finds a ref by its full or short name, in Git's order of places.
func (c *conversation) findRef(name string) (git.Ref, bool) {
	if name == "HEAD" {
		return c.head()
	}
	for _, prefix := range []string{"", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"} {
		if ref, ok := c.repo.Snapshot.Refs.Get(prefix + name); ok {
			return ref, true
		}
	}
	return git.Ref{}, false
}
