package maintenance

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/faultpoint"
	"github.com/annal-git/annal/gitfs/nativegit"
	"github.com/annal-git/annal/gitfs/store"
)

// Config of a Maintainer. Store and Dir must be given.
type Config struct {
	Store   *store.Store
	Dir     string        // folder of the local home for scratch repositories, of this process alone
	Git     string        // program; default git
	Timeout time.Duration // of one process; default 6 h
	Memory  int64         // that one process may take for data, in bytes; default 4 GiB
}

// Maintainer combines packs. Its methods may be called at the same time.
type Maintainer struct{ config Config }

// Open makes a Maintainer and removes what an earlier process has left in its folder.
func Open(c Config) (*Maintainer, error) {
	c.Git, c.Timeout, c.Memory = cmp.Or(c.Git, "git"), cmp.Or(c.Timeout, 6*time.Hour), cmp.Or(c.Memory, 4<<30)
	if c.Timeout < 0 || c.Memory < 0 {
		return nil, errors.New("maintenance: time and memory must be positive")
	}
	var err error
	if c.Dir, err = nativegit.ScratchFolder(c.Dir); err != nil {
		return nil, err
	}
	return &Maintainer{config: c}, nil
}

// Fault points of Run, see package faultpoint.
const (
	PacksMade     = "maintenance.packs.made"
	PacksVerified = "maintenance.packs.verified"
	PacksPlaced   = "maintenance.packs.placed"
)

// FaultPoints are the fault points of Run, in their order.
var FaultPoints = []string{
	PacksMade, PacksVerified, store.CombinedWritten, store.CombinedSynced, store.CombinedRenamed, store.CombinedPlaced, PacksPlaced,
}

// Run carries out a plan for a repository and returns what is to be registered; the new
// packs are durable on the shared home then. kept are all objects that refs named once:
// what they lead to belongs into the pack with the bitmap. Nil means that nothing would
// change. An error leaves the repository as it is.
func (m *Maintainer) Run(ctx context.Context, plan Plan, s *gitfs.Snapshot, kept []git.ObjectID) (combined *repository.CombinePacks, err error) {
	if plan.Kind == Nothing || len(plan.Packs) == 0 {
		return nil, nil
	}
	// Pinned, so that they stay, and known to be readable on this node.
	objects, err := m.config.Store.Objects(ctx, s.Storage, plan.Packs)
	if err != nil {
		return nil, err
	}
	defer objects.Release()
	work, err := m.newScratch()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, work.Remove()) }()
	if err := objects.LinkPacks(work.Packs()); err != nil {
		return nil, err
	}
	var made []string
	switch plan.Kind {
	case RollUp:
		made, err = work.rollUp(ctx, plan.Packs)
	case Full:
		made, err = work.repack(ctx, plan.Packs, s, kept)
	default:
		err = fmt.Errorf("there is no job %q", plan.Kind)
	}
	if err != nil {
		return nil, err
	}
	faultpoint.Reach(PacksMade)
	if err := work.verify(ctx, objects, made); err != nil {
		return nil, err
	}
	faultpoint.Reach(PacksVerified)
	return m.place(ctx, plan, s.Storage, made)
}

// place puts what was made onto the shared home. A pack that came out as it went in is
// neither new nor superseded.
func (m *Maintainer) place(ctx context.Context, plan Plan, storage string, made []string) (*repository.CombinePacks, error) {
	combined := &repository.CombinePacks{}
	same := map[string]bool{}
	for _, path := range made {
		id := packOf(path)
		if slices.ContainsFunc(plan.Packs, func(p git.Pack) bool { return p.ID.String() == id }) {
			same[id] = true
			continue
		}
		pack, err := m.config.Store.Install(ctx, storage, path)
		if err != nil {
			return nil, err
		}
		combined.Packs = append(combined.Packs, pack)
	}
	for _, p := range plan.Packs {
		if !same[p.ID.String()] {
			combined.Superseded = append(combined.Superseded, p.ID)
		}
	}
	if len(combined.Packs) == 0 || len(combined.Superseded) == 0 {
		return nil, nil
	}
	faultpoint.Reach(PacksPlaced)
	return combined, nil
}

// packOf is the id in a pack file's name.
func packOf(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "pack-"), ".pack")
}

// rollUp combines packs into one that holds all their objects, whatever refs say.
func (s *scratch) rollUp(ctx context.Context, packs []git.Pack) ([]string, error) {
	var names bytes.Buffer
	for _, p := range packs {
		fmt.Fprintf(&names, "pack-%s.pack\n", p.ID)
	}
	return s.packObjects(ctx, &names, "--stdin-packs")
}

// packObjects has git make a pack, and returns the path of the .pack file, or none if it
// would be empty.
func (s *scratch) packObjects(ctx context.Context, stdin *bytes.Buffer, args ...string) ([]string, error) {
	base := filepath.Join(s.out(), "pack")
	args = append([]string{"pack-objects", "--quiet", "--non-empty", "--delta-base-offset"}, args...)
	ids, err := s.git(ctx, stdin, append(args, base)...)
	if err != nil {
		return nil, err
	}
	var made []string
	for _, id := range strings.Fields(ids) {
		if _, err := git.ParseObjectID(id); err != nil {
			return nil, fmt.Errorf("git pack-objects: %w", err)
		}
		made = append(made, base+"-"+id+".pack")
	}
	return made, nil
}

// repack combines all packs: what refs name or have named, with a bitmap, and the rest.
func (s *scratch) repack(ctx context.Context, packs []git.Pack, snapshot *gitfs.Snapshot, kept []git.ObjectID) ([]string, error) {
	var refs []git.Ref
	for ref := range snapshot.Refs.Prefixed("") {
		if !strings.HasPrefix(ref.Name, keepPrefix) {
			refs = append(refs, ref)
		}
	}
	if err := s.writeRefs(refs); err != nil {
		return nil, err
	}
	tips, err := s.independent(ctx, kept)
	if err != nil {
		return nil, err
	}
	for _, id := range tips {
		refs = append(refs, git.Ref{Name: keepPrefix + id.String(), ID: id})
	}
	slices.SortFunc(refs, func(a, b git.Ref) int { return cmp.Compare(a.Name, b.Name) })
	if err := s.writeRefs(refs); err != nil {
		return nil, err
	}
	made, err := s.packObjects(ctx, &bytes.Buffer{}, "--all", "--write-bitmap-index")
	if err != nil {
		return nil, err
	}
	if err := s.writeGraph(ctx, made); err != nil {
		return nil, err
	}
	var names bytes.Buffer
	for _, p := range packs {
		fmt.Fprintf(&names, "pack-%s.pack\n", p.ID)
	}
	for _, path := range made {
		for _, suffix := range []string{".pack", ".idx"} {
			if err := s.Link(strings.TrimSuffix(path, ".pack") + suffix); err != nil {
				return nil, err
			}
		}
		if slices.ContainsFunc(packs, func(p git.Pack) bool { return p.ID.String() == packOf(path) }) { // it is all there was; no rest
			return made, nil
		}
		fmt.Fprintf(&names, "^%s\n", filepath.Base(path))
	}
	rest, err := s.packObjects(ctx, &names, "--stdin-packs")
	return append(made, rest...), err
}

// keepPrefix is where objects are named that refs named once.
const keepPrefix = "refs/keep/"

// independent leaves out those that are ancestors of refs or of others.
func (s *scratch) independent(ctx context.Context, kept []git.ObjectID) ([]git.ObjectID, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	var list bytes.Buffer
	for _, id := range kept {
		fmt.Fprintln(&list, id)
	}
	types, err := s.git(ctx, bytes.NewReader(list.Bytes()), "cat-file", "--batch-check=%(objectname) %(objecttype)")
	if err != nil {
		return nil, err
	}
	var others []git.ObjectID // tags and the like are kept as they are
	commits := map[string]bool{}
	var walk bytes.Buffer
	for line := range strings.Lines(types) {
		text, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		id, err := git.ParseObjectID(text)
		if err != nil {
			return nil, err
		}
		switch kind {
		case "commit":
			commits[text] = true
			fmt.Fprintln(&walk, text)
		case "missing":
			return nil, fmt.Errorf("%s, which a ref named once, is in no pack", id)
		default:
			others = append(others, id)
		}
	}
	history, err := s.git(ctx, &walk, "rev-list", "--parents", "--stdin", "--not", "--all")
	if err != nil {
		return nil, err
	}
	tips, parents := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(history) {
		ids := strings.Fields(line)
		if commits[ids[0]] {
			tips[ids[0]] = true
		}
		for _, parent := range ids[1:] {
			parents[parent] = true
		}
	}
	for text := range tips {
		if id, err := git.ParseObjectID(text); err == nil && !parents[text] {
			others = append(others, id)
		}
	}
	return others, nil
}
