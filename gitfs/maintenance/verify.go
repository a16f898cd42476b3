package maintenance

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pack"
	"github.com/annal-git/annal/gitfs/store"
)

// verify checks that packs which were made hold the objects of those they were made of,
// all and no others, and that every entry can be read and is what its id says.
func (s *scratch) verify(ctx context.Context, of *store.Objects, made []string) error {
	var before, after []*pack.Index
	for _, p := range of.Packs() {
		before = append(before, p.Index())
	}
	for _, path := range made {
		content, err := os.ReadFile(strings.TrimSuffix(path, ".pack") + ".idx")
		if err != nil {
			return err
		}
		id, err := git.ParseObjectID(packOf(path))
		if err != nil {
			return err
		}
		if err := pack.CheckIndex(content, id); err != nil {
			return err
		}
		index, err := pack.ParseIndex(content, nil)
		if err != nil {
			return err
		}
		after = append(after, index)
	}
	if err := sameObjects(before, after); err != nil {
		return err
	}
	for _, path := range made {
		if _, err := s.git(ctx, nil, "index-pack", "--verify", path); err != nil {
			return err
		}
	}
	return nil
}

// DifferenceError says that packs do not hold the same objects as those that they were
// made of.
type DifferenceError struct {
	Missing bool // else it is one too many
	ID      git.ObjectID
}

func (e *DifferenceError) Error() string {
	if e.Missing {
		return fmt.Sprintf("object %s is not in the new packs", e.ID)
	}
	return fmt.Sprintf("object %s is in the new packs only", e.ID)
}

// sameObjects compares two sets of ids, a 256th at a time for memory's sake.
func sameObjects(before, after []*pack.Index) error {
	var have, want []git.ObjectID
	for first := range 256 {
		want, have = idsOf(want[:0], before, byte(first)), idsOf(have[:0], after, byte(first))
		for i := range max(len(want), len(have)) {
			switch {
			case i == len(have) || i < len(want) && slices.Compare(want[i][:], have[i][:]) < 0:
				return &DifferenceError{Missing: true, ID: want[i]}
			case i == len(want) || want[i] != have[i]:
				return &DifferenceError{ID: have[i]}
			}
		}
	}
	return nil
}

// idsOf appends the ids that begin with a byte, sorted and each once.
func idsOf(ids []git.ObjectID, indexes []*pack.Index, first byte) []git.ObjectID {
	for _, index := range indexes {
		from, to := index.WithPrefix(git.ObjectID{first}, 8)
		for pos := from; pos < to; pos++ {
			ids = append(ids, index.ID(pos))
		}
	}
	slices.SortFunc(ids, func(a, b git.ObjectID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
