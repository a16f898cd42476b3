package gitfstest

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs"
)

// Refs are refs in memory, sorted by name. They implement gitfs.Refs.
type Refs []git.Ref

var _ gitfs.Refs = Refs(nil)

// NewRefs sorts refs by name.
func NewRefs(refs ...git.Ref) Refs {
	slices.SortFunc(refs, func(a, b git.Ref) int { return cmp.Compare(a.Name, b.Name) })
	return refs
}

func (r Refs) from(name string) int {
	i, _ := slices.BinarySearchFunc(r, name, func(ref git.Ref, name string) int { return cmp.Compare(ref.Name, name) })
	return i
}

// Get finds a ref by its full name.
func (r Refs) Get(name string) (git.Ref, bool) {
	if i := r.from(name); i < len(r) && r[i].Name == name {
		return r[i], true
	}
	return git.Ref{}, false
}

// Prefixed yields the refs whose names start with prefix.
func (r Refs) Prefixed(prefix string) iter.Seq[git.Ref] {
	return func(yield func(git.Ref) bool) {
		for _, ref := range r[r.from(prefix):] {
			if !strings.HasPrefix(ref.Name, prefix) || !yield(ref) {
				return
			}
		}
	}
}

// Len is the number of refs.
func (r Refs) Len() int { return len(r) }

// Memory is a repository whose refs and list of packs are in memory: the part that
// the log plays elsewhere. Its methods may be called at the same time.
type Memory struct {
	Head string // full name of the default branch

	mu      sync.Mutex
	refs    Refs
	packs   []git.Pack
	version int64
	pushes  []*repository.RefsUpdated
}

// NewMemory makes a repository of the folder Storage.
func NewMemory(packs []git.Pack, refs ...git.Ref) *Memory {
	return &Memory{Head: "refs/heads/main", refs: NewRefs(refs...), packs: packs, version: 1}
}

// Snapshot returns the repository as it is.
func (m *Memory) Snapshot(context.Context) (*gitfs.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &gitfs.Snapshot{
		Storage: Storage, Position: m.version, Version: m.version,
		Head: m.Head, Refs: m.refs, Packs: slices.Clone(m.packs),
	}, nil
}

// Commit decides a push as the log would.
func (m *Memory) Commit(_ context.Context, push repository.PushRefs) ([]git.RefResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	byName := make(map[string]git.Ref, len(m.refs))
	for _, ref := range m.refs {
		byName[ref.Name] = ref
	}
	event, results := repository.DecidePush(
		func(name string) git.ObjectID { return byName[name].ID },
		func(name string) iter.Seq[string] {
			return func(yield func(string) bool) {
				for _, ref := range m.refs {
					clash := strings.HasPrefix(ref.Name, name+"/") || strings.HasPrefix(name, ref.Name+"/")
					if clash && !yield(ref.Name) {
						return
					}
				}
			}
		}, nil, m.Head, push)
	if event == nil {
		return results, nil
	}
	for _, u := range event.Updates {
		if u.IsDelete() {
			delete(byName, u.Name)
			continue
		}
		byName[u.Name] = git.Ref{Name: u.Name, ID: u.New, Peeled: u.Peeled}
	}
	refs := make([]git.Ref, 0, len(byName))
	for _, ref := range byName {
		refs = append(refs, ref)
	}
	m.refs = NewRefs(refs...) // snapshots keep the old one
	if push.Pack != nil {
		m.packs = append(m.packs, *push.Pack)
	}
	m.version++
	m.pushes = append(m.pushes, event)
	return results, nil
}

// Move makes the repository have other packs and refs, as pushes would.
func (m *Memory) Move(packs []git.Pack, refs ...git.Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.packs, m.refs = packs, NewRefs(refs...)
	m.version++
}

// Pushes returns the events of all pushes that moved something.
func (m *Memory) Pushes() []*repository.RefsUpdated {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.pushes)
}
