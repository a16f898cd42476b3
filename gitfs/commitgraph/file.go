package commitgraph

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/annal-git/annal/domain/git"
)

// CorruptError says that a file is not a commit-graph, or not whole.
type CorruptError struct{ Reason string }

func (e *CorruptError) Error() string { return "corrupt commit-graph: " + e.Reason }

func corrupt(format string, args ...any) error { return &CorruptError{fmt.Sprintf(format, args...)} }

const (
	headerSize = 8
	chunkEntry = 12
	idSize     = len(git.ObjectID{})
	commitSize = idSize + 16
	noParent   = 0x70000000
	moreEdges  = 0x80000000 // in a second parent: the others are in the list of edges; there: the last
	bloomHead  = 12
)

// Graph is an open file. It is safe for concurrent use.
type Graph struct {
	n       int
	fanout  []byte
	ids     []byte
	commits []byte
	edges   []byte
	filters filters
}

// Commit is what the file holds of a commit.
type Commit struct {
	Tree    git.ObjectID
	Parents []git.ObjectID
	Time    int64 // of the committer, in seconds since 1970
}

// Check verifies the checksum at the end of a file's content. The error is a *CorruptError.
func Check(content []byte) error {
	if len(content) < headerSize+chunkEntry+sha1.Size {
		return corrupt("it is cut off")
	}
	body := content[:len(content)-sha1.Size]
	if sum := sha1.Sum(body); !bytes.Equal(sum[:], content[len(body):]) {
		return corrupt("it does not match its checksum")
	}
	return nil
}

// Parse opens a file's content, whose structure is checked, and keeps it. What it says of a commit is
// checked when it is asked for. The error is a *CorruptError.
func Parse(content []byte) (*Graph, error) {
	if len(content) < headerSize+chunkEntry+sha1.Size || !bytes.HasPrefix(content, []byte("CGPH\x01\x01")) || content[7] != 0 {
		return nil, corrupt("it is no whole graph of version 1 with SHA-1")
	}
	chunks, err := readChunks(content)
	if err != nil {
		return nil, err
	}
	g := &Graph{fanout: chunks["OIDF"], ids: chunks["OIDL"], commits: chunks["CDAT"], edges: chunks["EDGE"]}
	if len(g.fanout) != 256*4 {
		return nil, corrupt("it has no fan-out table")
	}
	last := uint32(0)
	for i := range 256 {
		count := binary.BigEndian.Uint32(g.fanout[4*i:])
		if count < last {
			return nil, corrupt("its fan-out table is not sorted")
		}
		last = count
	}
	g.n = int(last)
	if len(g.ids) != g.n*idSize || len(g.commits) != g.n*commitSize {
		return nil, corrupt("it has the wrong size for %d commits", g.n)
	}
	g.filters = newFilters(chunks["BIDX"], chunks["BDAT"], g.n)
	return g, nil
}

func readChunks(content []byte) (map[string][]byte, error) {
	count := int(content[6])
	end := len(content) - sha1.Size
	if headerSize+(count+1)*chunkEntry > end {
		return nil, corrupt("its table of contents is cut off")
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(content[headerSize+i*chunkEntry+4:]) }
	chunks := make(map[string][]byte, count)
	for i := range count {
		from, to := at(i), at(i+1)
		if from > to || to > uint64(end) {
			return nil, corrupt("a chunk lies outside of it")
		}
		entry := content[headerSize+i*chunkEntry:]
		chunks[string(entry[:4])] = content[from:to:to]
	}
	return chunks, nil
}

// Len is how many commits the file holds.
func (g *Graph) Len() int { return g.n }

// ID names the commit at a position.
func (g *Graph) ID(pos int) git.ObjectID { return git.ObjectID(g.ids[pos*idSize:]) }

// Find returns the position of a commit.
func (g *Graph) Find(id git.ObjectID) (pos int, ok bool) {
	lo, hi := 0, int(binary.BigEndian.Uint32(g.fanout[4*int(id[0]):]))
	if id[0] > 0 {
		lo = int(binary.BigEndian.Uint32(g.fanout[4*(int(id[0])-1):]))
	}
	pos = lo + sort.Search(hi-lo, func(i int) bool { return bytes.Compare(g.ids[(lo+i)*idSize:(lo+i+1)*idSize], id[:]) >= 0 })
	return pos, pos < hi && g.ID(pos) == id
}

// Commit returns the commit at a position. The error is a *CorruptError.
func (g *Graph) Commit(pos int) (c Commit, err error) {
	data := g.commits[pos*commitSize : (pos+1)*commitSize]
	c.Tree = git.ObjectID(data)
	c.Time = int64(binary.BigEndian.Uint64(data[idSize+8:]) & (1<<34 - 1))
	first, second := binary.BigEndian.Uint32(data[idSize:]), binary.BigEndian.Uint32(data[idSize+4:])
	if first == noParent {
		return c, nil
	}
	if err := g.addParent(&c, first); err != nil || second == noParent {
		return c, err
	}
	if second&moreEdges == 0 {
		return c, g.addParent(&c, second)
	}
	for at := uint64(second&^moreEdges) * 4; ; at += 4 {
		if at+4 > uint64(len(g.edges)) {
			return c, corrupt("a list of parents is cut off")
		}
		edge := binary.BigEndian.Uint32(g.edges[at:])
		if err := g.addParent(&c, edge&^moreEdges); err != nil || edge&moreEdges != 0 {
			return c, err
		}
	}
}

func (g *Graph) addParent(c *Commit, pos uint32) error {
	if int64(pos) >= int64(g.n) {
		return corrupt("a parent lies outside of it")
	}
	c.Parents = append(c.Parents, g.ID(int(pos)))
	return nil
}
