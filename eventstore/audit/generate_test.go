package audit_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/audit"
	"github.com/annal-git/annal/eventstore/tree"
)

const clusterID = "018f3a1c-7b3e-7c55-9d1e-2f6b8a9c0d11"

// world makes logs as Annal would, in memory.
type world struct {
	r       *rand.Rand
	entries []audit.Entry
	notes   map[int64]string // by size
	key     tree.Key
	first   ed25519.PublicKey
	epoch   int64

	frontier tree.Frontier
	moment   time.Time
	versions map[domain.Stream]int64
	refs     map[domain.RepositoryID]map[string]git.ObjectID
	mine     map[domain.UserID][]int64 // positions of personal data, by subject
	removed  map[int64][]audit.PersonalData
}

// people and places of every world.
const (
	administrator domain.UserID = 1
	pushers       int           = 4 // users 2 to 5, who may push to everything
	places        int           = 3 // repositories
)

func newWorld(seed uint64) *world {
	w := &world{
		r: rand.New(rand.NewPCG(seed, 7)), notes: map[int64]string{}, epoch: 1, moment: time.UnixMicro(1_800_000_000_000_000).UTC(),
		versions: map[domain.Stream]int64{}, refs: map[domain.RepositoryID]map[string]git.ObjectID{}, mine: map[domain.UserID][]int64{},
		removed: map[int64][]audit.PersonalData{},
	}
	w.key, _ = tree.NewKey()
	w.first = w.key.Public()
	w.command(0, "system", domain.ClusterStream, cluster.Created{ID: clusterID, Name: "test"})
	w.command(0, "setup", domain.UserStream(administrator), account.Created{ID: administrator, Type: account.Normal, SetUp: true},
		account.PasswordSet{ID: administrator}, access.Granted{User: administrator, Permission: access.SysAdmin})
	w.command(administrator, "password", domain.ProjectStream(1), project.Created{ID: 1, Settings: project.Settings{Key: "P", Name: "P"}},
		access.Granted{User: administrator, Permission: access.ProjectAdmin, Target: access.Target{Project: 1}})
	for i := range pushers {
		id := domain.UserID(2 + i)
		w.command(administrator, "password", domain.UserStream(id), account.Created{ID: id, Type: account.Normal}, access.Granted{User: id, Permission: access.LicensedUser})
		if i < pushers-1 {
			w.command(administrator, "password", domain.ProjectStream(1), access.Granted{User: id, Permission: access.ProjectWrite, Target: access.Target{Project: 1}})
			continue
		}
		// The last one may push by a group that is in the group that may.
		w.command(administrator, "password", domain.GroupStream(1), group.Created{ID: 1, Name: "inner"}, group.MembersAdded{ID: 1, Members: group.Members{Users: []domain.UserID{id}}})
		w.command(administrator, "password", domain.GroupStream(2), group.Created{ID: 2, Name: "outer"}, group.MembersAdded{ID: 2, Members: group.Members{Groups: []domain.GroupID{1}}})
		w.command(administrator, "password", domain.ProjectStream(1), access.GroupGranted{Group: 2, Permission: access.ProjectWrite, Target: access.Target{Project: 1}})
	}
	for i := range places {
		id := domain.RepositoryID(1 + i)
		w.refs[id] = map[string]git.ObjectID{}
		w.command(administrator, "password", domain.RepositoryStream(id), repository.Created{ID: id, Storage: uuid.NewString(), Project: 1, Name: "r", Slug: "r", DefaultBranch: "refs/heads/main"})
	}
	return w
}

func (w *world) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.r.Uint32())
	}
	return b
}

// fill adds events until there are n, and checkpoints among them.
func (w *world) fill(n int) *world {
	for len(w.entries) < n {
		switch w.r.IntN(30) {
		case 0:
			w.rotate()
		case 1:
			w.erase(domain.UserID(2 + w.r.IntN(pushers)))
		case 2:
			id := domain.UserID(2 + w.r.IntN(pushers))
			w.command(id, "password", domain.UserStream(id), account.ProfileChanged{ID: id})
		case 3:
			id := domain.RepositoryID(1 + w.r.IntN(places))
			w.command(administrator, "password", domain.RepositoryStream(id), repository.SettingsChanged{ID: id, Settings: repository.Settings{Description: fmt.Sprint("ä\n", len(w.entries)), Public: true}})
		default:
			w.push()
		}
		if w.r.IntN(8) == 0 {
			w.sign()
		}
	}
	w.sign()
	return w
}

func (w *world) push() {
	id := domain.RepositoryID(1 + w.r.IntN(places))
	name := fmt.Sprint("refs/heads/branch-", w.r.IntN(5))
	update := git.RefUpdate{Name: name, Old: w.refs[id][name], New: git.ObjectID(w.random(20))}
	if !update.Old.IsZero() && w.r.IntN(4) == 0 {
		update.New = git.ZeroID
		delete(w.refs[id], name)
	} else {
		w.refs[id][name] = update.New
	}
	w.command(domain.UserID(2+w.r.IntN(pushers)), "password", domain.RepositoryStream(id), repository.RefsUpdated{Updates: []git.RefUpdate{update}})
}

func (w *world) rotate() {
	next, _ := tree.NewKey()
	vouch, err := w.key.Vouch(clusterID, next.Public())
	if err != nil {
		panic(err)
	}
	w.command(0, "system", domain.ClusterStream, cluster.SigningKeyChanged{Old: tree.PublicKeyText(w.key.Public()), New: tree.PublicKeyText(next.Public()), Vouch: vouch})
	w.key = next
}

func (w *world) erase(id domain.UserID) {
	if len(w.mine[id]) == 0 {
		return
	}
	var ranges [][2]int64
	for _, position := range w.mine[id] {
		e := &w.entries[position-1]
		w.removed[position] = slices.Clone(e.Personal)
		e.Personal = slices.DeleteFunc(e.Personal, func(p audit.PersonalData) bool { return p.Subject == int64(id) })
		ranges = append(ranges, [2]int64{position, position})
	}
	w.mine[id] = nil
	w.command(administrator, "password", domain.UserStream(id), account.Erased{ID: id, Positions: ranges})
}

func (w *world) sign() {
	size := w.frontier.Size()
	if w.notes[size] != "" {
		return
	}
	signed, err := w.key.Sign(tree.Checkpoint{Origin: tree.Origin(clusterID, w.epoch), Size: size, Root: w.frontier.Root()})
	if err != nil {
		panic(err)
	}
	w.notes[size] = signed
}

// command adds the events of one command.
func (w *world) command(actor domain.UserID, auth string, stream domain.Stream, events ...domain.Event) {
	id := uuid.UUID(w.random(16))
	id[6], id[8] = 0x70|id[6]&15, 0x80|id[8]&63
	w.moment = w.moment.Add(time.Duration(w.r.IntN(5_000_000)) * time.Microsecond)
	for _, event := range events {
		w.versions[stream]++
		position := int64(len(w.entries) + 1)
		e := audit.Entry{Position: position}
		meta := map[string]any{"auth": auth, "node": "n", "request": strconv.Itoa(int(position))}
		commitments := map[string]string{}
		keep := func(part string, subject domain.UserID, data []byte) {
			salt := w.random(16)
			commitments[part] = eventstore.Commitment(salt, data)
			e.Personal = append(e.Personal, audit.PersonalData{Part: part, Subject: int64(subject), Salt: salt, Data: data})
			w.mine[subject] = append(w.mine[subject], position)
		}
		if p, ok := personalOf(event); ok {
			keep("event", p, fmt.Appendf(nil, `{"name":"user %d"}`, position))
		}
		if actor != 0 {
			meta["actor"] = actor
			keep("origin", actor, fmt.Appendf(nil, `{"address":"10.0.0.%d"}`, position%250))
		}
		if len(commitments) > 0 {
			meta["commitments"] = commitments
		}
		s := eventstore.Stored{
			Position: position, Stream: stream, Version: w.versions[stream], ID: id.String(), Type: event.EventType(), At: w.moment,
			Body: canonicalOf(event), Meta: canonicalOf(meta),
		}
		e.Leaf = s.AppendLeaf(nil)
		hash := tlog.Hash(eventstore.LeafHash(e.Leaf))
		e.Hash, e.Hashed = hash, true
		w.frontier.Append(hash)
		w.entries = append(w.entries, e)
	}
}

func personalOf(event domain.Event) (domain.UserID, bool) {
	switch e := event.(type) {
	case account.Created:
		return e.ID, true
	case account.PasswordSet:
		return e.ID, true
	case account.ProfileChanged:
		return e.ID, true
	}
	return 0, false
}

func canonicalOf(v any) json.RawMessage {
	plain, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	text, err := jcs.Transform(plain)
	if err != nil {
		panic(err)
	}
	return text
}

// logOf is a log as an auditor gets it: what a world made, to be damaged.
type logOf struct {
	header  audit.Header
	entries []audit.Entry
	notes   []sized
	refs    map[domain.RepositoryID]map[string]git.ObjectID
	pages   int // events a page
	at      int
}

type sized struct {
	size   int64
	signed string
}

func (w *world) log() *logOf {
	l := &logOf{
		header: audit.Header{Cluster: clusterID, From: 1, To: int64(len(w.entries)), Personal: true, PublicKey: tree.PublicKeyText(w.first)},
		refs:   map[domain.RepositoryID]map[string]git.ObjectID{}, pages: 17,
	}
	for _, e := range w.entries {
		e.Leaf, e.Personal = slices.Clone(e.Leaf), slices.Clone(e.Personal)
		l.entries = append(l.entries, e)
		if signed := w.notes[e.Position]; signed != "" {
			l.notes = append(l.notes, sized{e.Position, signed})
		}
	}
	for id, refs := range w.refs {
		l.refs[id] = map[string]git.ObjectID{}
		for name, at := range refs {
			l.refs[id][name] = at
		}
	}
	if len(l.notes) > 0 {
		l.header.Checkpoint = l.notes[len(l.notes)-1].signed
	}
	return l
}

// Header implements audit.Source.
func (l *logOf) Header() audit.Header { return l.header }

// Next implements audit.Source.
func (l *logOf) Next(context.Context) (*audit.Page, error) {
	if l.at > len(l.entries) {
		return nil, io.EOF
	}
	from, to := l.at, min(l.at+l.pages, len(l.entries))
	page := &audit.Page{Entries: l.entries[from:to], Last: to == len(l.entries)}
	for _, n := range l.notes {
		// Notes keep their places in the file, whatever the events beside them say.
		if after := int(n.size) - from; after > 0 && (after <= to-from) || (after <= 0 && from == 0) {
			page.Notes = append(page.Notes, audit.Note{After: max(after, 0), Signed: n.signed})
		}
	}
	if l.at = to; page.Last {
		l.at++
	}
	return page, nil
}

// verify verifies a log, and its refs.
func (l *logOf) verify(options audit.Options) (*audit.Report, error) {
	options.Types = eventstore.Types()
	options.Refs = func(_ context.Context, fold *audit.RefsFold) error {
		for id, refs := range l.refs {
			for name, at := range refs {
				fold.Found(id, name, at)
			}
		}
		fold.Finish()
		return nil
	}
	l.at = 0
	return audit.Verify(context.Background(), l, options)
}
