package revwalk

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/annal-git/annal/gitfs/object"
)

// version is one of the trees that a folder had. The next one differs from it in few entries,
// and only those are looked at: what both have is passed over as bytes. The zero value is the
// empty tree.
type version struct {
	data   []byte
	starts []int // of its entries in data, and where the last one ends
	spare  []int
}

// change calls visit for the entries of another tree that the version lacks, and makes that
// tree the version. It may call it for some that are there. Errors are those of the tree and of
// visit.
func (v *version) change(data []byte, visit func(object.TreeLink) error) error {
	starts := slices.Grow(v.spare[:0], len(v.starts)+8)
	next := 0 // entry of the version that is not behind us
	for rest := data; len(rest) > 0; {
		at := len(data) - len(rest)
		if next+1 < len(v.starts) {
			from := v.starts[next]
			same, on := slices.BinarySearch(v.starts[next:], from+commonPrefix(v.data[from:], rest))
			if !on {
				same-- // an entry that goes on differently is another one
			}
			for _, start := range v.starts[next : next+same] {
				starts = append(starts, start-from+at)
			}
			next += same
			rest = rest[v.starts[next]-from:]
			if same > 0 {
				continue
			}
		}
		link, behind, err := object.CutTreeLink(rest)
		if err != nil {
			return err
		}
		known := false
		for !known && next+1 < len(v.starts) {
			old, _, err := object.CutTreeLink(v.data[v.starts[next]:])
			if err != nil {
				return err
			}
			order := bytes.Compare(old.Name, link.Name)
			if order > 0 {
				break
			}
			known = order == 0 && old.Mode == link.Mode && old.ID == link.ID
			next++
		}
		if !known {
			if err := visit(link); err != nil {
				return err
			}
		}
		starts = append(starts, at)
		rest = behind
	}
	starts = append(starts, len(data))
	v.spare, v.starts, v.data = v.starts, starts, data
	return nil
}

// commonPrefix returns how many bytes two slices begin with alike.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
