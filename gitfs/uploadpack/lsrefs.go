package uploadpack

import (
	"slices"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/protocol"
)

// maxPrefixes is how many ref prefixes are looked at; with more, all refs are
// listed, which the protocol allows.
const maxPrefixes = 65_536

// lsRefs answers the command ls-refs.
func (c *conversation) lsRefs(args *arguments) error {
	var symrefs, peel, unborn, all bool
	var prefixes []string
	for {
		line, ok, err := args.line()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		key, value, _ := strings.Cut(line, " ")
		switch {
		case line == "symrefs":
			symrefs = true
		case line == "peel":
			peel = true
		case line == "unborn":
			unborn = true
		case key == "ref-prefix":
			if len(prefixes) < maxPrefixes {
				prefixes = append(prefixes, value)
			} else {
				all = true
			}
		default:
			return protocol.Refuse("unexpected line: %q", protocol.Clip(line))
		}
	}
	if all || len(prefixes) == 0 {
		prefixes = []string{""}
	}
	prefixes = disjoint(prefixes)

	question := append(make([]byte, 0, 256), "ls-refs"...)
	for _, flag := range [...]bool{symrefs, peel, unborn} {
		if flag {
			question = append(question, " yes"...)
		} else {
			question = append(question, " no"...)
		}
	}
	for _, prefix := range prefixes {
		question = append(append(question, 0), prefix...)
	}
	return c.answer(question, func(l *refLines) {
		if slices.ContainsFunc(prefixes, isPrefixOf("HEAD")) {
			c.listHead(l, symrefs, peel, unborn)
		}
		for _, prefix := range prefixes {
			for ref := range c.repo.Snapshot.Refs.Prefixed(prefix) {
				if !peel {
					ref.Peeled = git.ZeroID
				}
				l.ref(ref.ID, ref.Name, "", ref.Peeled)
			}
		}
	})
}

func (c *conversation) listHead(l *refLines, symrefs, peel, unborn bool) {
	target := ""
	if symrefs {
		target = " symref-target:" + c.repo.Snapshot.Head
	}
	if head, born := c.head(); born {
		if !peel {
			head.Peeled = git.ZeroID
		}
		l.ref(head.ID, "HEAD", target, head.Peeled)
	} else if unborn && c.repo.Snapshot.Head != "" {
		at := l.begin()
		l.text("unborn HEAD" + target + "\n")
		l.end(at)
	}
}

func isPrefixOf(name string) func(string) bool {
	return func(prefix string) bool { return strings.HasPrefix(name, prefix) }
}

// disjoint sorts prefixes and drops those that others cover, so that no ref is
// listed twice.
func disjoint(prefixes []string) []string {
	slices.Sort(prefixes)
	kept := prefixes[:0]
	for _, p := range prefixes {
		if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}
