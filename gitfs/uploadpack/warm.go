package uploadpack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// shape is a way in which a repository is cloned again and again, whatever its refs name at
// the time.
type shape struct {
	everything                bool // all branches and tags; else the default branch alone
	depth                     int  // 0: all of the history
	filter                    revwalk.Filter
	thin, offsets, includeTag bool
}

// Bounds of what is remembered of clones.
const (
	hotFor          = 10 * time.Minute // since the last clone of a shape
	hotClones       = 2                // clones of a shape that make it worth to be kept warm
	hotShapes       = 8                // of one repository
	hotRepositories = 1024
	maxWarmDepth    = 1000
)

// popularity remembers how repositories are cloned.
type popularity struct {
	mu           sync.Mutex
	repositories map[domain.RepositoryID]map[shape]*clones
}

type clones struct {
	number int
	last   time.Time
}

func (p *popularity) count(id domain.RepositoryID, s shape, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shapes := p.repositories[id]
	if shapes == nil {
		if len(p.repositories) >= hotRepositories || p.repositories == nil {
			p.repositories = map[domain.RepositoryID]map[shape]*clones{}
		}
		shapes = map[shape]*clones{}
		p.repositories[id] = shapes
	}
	if shapes[s] == nil {
		if len(shapes) >= hotShapes {
			p.drop(shapes, now)
		}
		if len(shapes) >= hotShapes {
			return
		}
		shapes[s] = &clones{}
	}
	c := shapes[s]
	if now.Sub(c.last) > hotFor {
		c.number = 0
	}
	c.number, c.last = c.number+1, now
}

// drop forgets what has gone cold; the lock is held.
func (p *popularity) drop(shapes map[shape]*clones, now time.Time) {
	for s, c := range shapes {
		if now.Sub(c.last) > hotFor {
			delete(shapes, s)
		}
	}
}

// hot returns the shapes of a repository that are asked for often.
func (p *popularity) hot(id domain.RepositoryID, now time.Time) (hot []shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s, c := range p.repositories[id] {
		if c.number >= hotClones && now.Sub(c.last) <= hotFor {
			hot = append(hot, s)
		}
	}
	return hot
}

// noteClone remembers a request if it is of a shape.
func (c *conversation) noteClone(r *request, common []git.ObjectID) {
	d := r.deepen
	if len(common) > 0 || len(r.shallow) > 0 || d.Relative || d.Since > 0 || len(d.Not) > 0 || d.Depth > maxWarmDepth {
		return
	}
	s := shape{depth: d.Depth, filter: r.filter, thin: r.thin, offsets: r.offsets, includeTag: r.includeTag}
	head, born := c.head()
	switch {
	case born && len(r.wants) == 1 && r.wants[0] == head.ID:
	case idsDigest(r.wants) == c.everythingDigest():
		s.everything = true
	default:
		return
	}
	c.popular.count(c.repo.Snapshot.Repository, s, time.Now())
}

// everything returns what a clone of all branches and tags asks for.
func (c *conversation) everything() (ids []git.ObjectID) {
	for _, prefix := range [...]string{"refs/heads/", "refs/tags/"} {
		for ref := range c.repo.Snapshot.Refs.Prefixed(prefix) {
			ids = append(ids, ref.ID)
		}
	}
	return ids
}

func (c *conversation) everythingDigest() [sha256.Size]byte {
	question := []byte("everything")
	if kept, ok := c.answers.get(c.repo, question); ok && !c.repo.Hides {
		return [sha256.Size]byte(kept)
	}
	digest := idsDigest(c.everything())
	c.answers.put(c.repo, question, digest[:])
	return digest
}

// idsDigest tells one set of ids from another.
func idsDigest(ids []git.ObjectID) (digest [sha256.Size]byte) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b git.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, id := range slices.Compact(ids) {
		_, _ = h.Write(id[:]) // never fails
	}
	h.Sum(digest[:0])
	return digest
}

// IsHot reports whether a repository is cloned so often that Warm has something to do.
func (s *Server) IsHot(id domain.RepositoryID) bool {
	return s.config.Packs != nil && len(s.popular.hot(id, time.Now())) > 0
}

// Warm makes the packs for which clones will ask after the refs of a repository have moved,
// if it is cloned often, and keeps them. It returns when they are made.
func (s *Server) Warm(ctx context.Context, repo *Repository) error {
	if s.config.Packs == nil {
		return nil
	}
	for _, hot := range s.popular.hot(repo.Snapshot.Repository, time.Now()) {
		c := s.conversation(nil, nil, repo, Transport{})
		err := c.warm(ctx, hot)
		c.release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Survey works out what clones of the default branch, and of all branches and tags, will
// hold, so that the first one after many objects came need not wait for that.
func (s *Server) Survey(ctx context.Context, repo *Repository) error {
	c := s.conversation(nil, nil, repo, Transport{})
	defer c.release()
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var tips [][]git.ObjectID
	if head, born := c.head(); born {
		tips = append(tips, []git.ObjectID{head.ID}) // first, for the other begins where it ends
	}
	for _, wants := range append(tips, c.everything()) {
		if _, err := c.closures.Reachable(ctx, c.graph, repo.Objects, repo.Snapshot.Storage, wants, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) warm(ctx context.Context, s shape) error {
	r := &request{
		deepen: revwalk.Deepen{Depth: s.depth}, filter: s.filter,
		thin: s.thin, offsets: s.offsets, includeTag: s.includeTag, quiet: true, band: pktline.SidebandLarge,
	}
	if s.everything {
		r.wants = c.everything()
	} else if head, born := c.head(); born {
		r.wants = []git.ObjectID{head.ID}
	}
	if len(r.wants) == 0 {
		return nil
	}
	shallow, err := c.resolveShallow(ctx, r)
	if err != nil {
		return err
	}
	p := packing{Server: c.Server, repo: c.repo, graph: c.graph, request: r, ends: shallow.ends}
	return c.config.Packs.Fill(ctx, c.packKey(r, shallow, nil), c.repo.Snapshot.Storage, p.begin)
}
