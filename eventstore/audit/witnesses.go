package audit

import (
	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/eventstore/tree"
)

// witnessed are checkpoints that somebody has kept, by their size.
type witnessed map[int64][]tree.Checkpoint

// remember takes in what others have kept.
func (v *verifier) remember(signed []string) {
	v.kept = witnessed{}
	for _, text := range signed {
		c, err := tree.PeekCheckpoint(text)
		if err != nil {
			v.findings.at(Signatures, v.next, "a checkpoint that was kept cannot be read: %s", err)
			continue
		}
		v.kept[c.Size] = append(v.kept[c.Size], c)
	}
}

// compareKept compares what was kept of a size with the tree of that size. What was kept
// of an earlier epoch behind its cut is not a part of this log any more.
func (v *verifier) compareKept(size int64, root tlog.Hash) {
	for _, c := range v.kept[size] {
		if c.Root != root && c.Origin == v.history.Origin(size) {
			v.findings.add(Tree, 1, size, "the first %d events do not have the root of a checkpoint that was kept elsewhere", size)
		}
	}
}

// beyond names what was kept of more events than there are.
func (v *verifier) beyond(last int64) {
	origin := v.history.Origin(last)
	for size, kept := range v.kept {
		for _, c := range kept {
			if size > last && c.Origin == origin {
				v.findings.add(Signatures, v.signed+1, last+1, "a checkpoint of %d events was kept elsewhere, but the log ends behind event %d", size, last)
			}
		}
	}
}
