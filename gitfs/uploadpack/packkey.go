package uploadpack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/protocol"
)

// packEngine changes whenever the same request may get another pack than before.
const packEngine = "1"

// packKey names the pack that a request gets. That the client may have it has been judged
// already. It depends on nothing that moves but for tags, which come along if what they
// name does.
func (c *conversation) packKey(r *request, s shallowing, common []git.ObjectID) packcache.Key {
	h := sha256.New()
	text := func(s string) {
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) // never fails, nor do the others
		_, _ = h.Write([]byte(s))
	}
	ids := func(list []git.ObjectID) {
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b git.ObjectID) int { return bytes.Compare(a[:], b[:]) })
		list = slices.Compact(list)
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(list))))
		for _, id := range list {
			_, _ = h.Write(id[:])
		}
	}
	text(packEngine)
	text(c.repo.Snapshot.Storage)
	text(protocol.ObjectFormat)
	ids(r.wants)
	ids(common)
	ids(s.ends)
	text(r.filter.String())
	for _, flag := range [...]bool{r.thin, r.offsets, r.includeTag} {
		if flag {
			text("yes")
		} else {
			text("no")
		}
	}
	if r.includeTag {
		digest := c.tagDigest()
		_, _ = h.Write(digest[:])
	}
	return packcache.Key(h.Sum(nil))
}

// tagDigest tells one set of visible tags from another.
func (c *conversation) tagDigest() (digest [sha256.Size]byte) {
	question := []byte("tags")
	if kept, ok := c.answers.get(c.repo, question); ok && !c.repo.Hides {
		return [sha256.Size]byte(kept)
	}
	h := sha256.New()
	for ref := range c.repo.Snapshot.Refs.Prefixed("refs/tags/") {
		if !ref.Peeled.IsZero() {
			_, _ = h.Write(ref.ID[:])
			_, _ = h.Write(ref.Peeled[:])
		}
	}
	h.Sum(digest[:0])
	c.answers.put(c.repo, question, digest[:])
	return digest
}
