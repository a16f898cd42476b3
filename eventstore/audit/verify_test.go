package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/audit"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/eventstore/tree"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

func exportOf(t testing.TB, source audit.Source) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := audit.Write(t.Context(), &out, source, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func verifyExport(data []byte, options audit.Options) (*audit.Report, error) {
	export, err := audit.OpenExport(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	options.Types = eventstore.Types()
	return audit.Verify(context.Background(), export, options)
}

func TestHonestLogs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newWorld(seed).fill(50 + 20*int(seed))
		for _, pages := range []int{1, 17, 1000} {
			l := w.log()
			l.pages = pages
			report, err := l.verify(audit.Options{Keys: []ed25519.PublicKey{w.first}})
			if err != nil {
				t.Fatal(err)
			}
			if !report.Whole() || report.Events != int64(len(w.entries)) || report.Root != w.frontier.Root().String() || report.Signed != report.To {
				t.Errorf("seed %d: %+v", seed, report)
			}
		}
		data := exportOf(t, w.log())
		for _, treeOnly := range []bool{false, true} {
			report, err := verifyExport(data, audit.Options{Keys: []ed25519.PublicKey{w.first}, TreeOnly: treeOnly})
			if err != nil || !report.Whole() || report.Root != w.frontier.Root().String() {
				t.Errorf("seed %d, tree only %v: %v %+v", seed, treeOnly, err, report)
			}
		}
		again, err := audit.OpenExport(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(exportOf(t, again), data) {
			t.Errorf("seed %d: an export of an export is another", seed)
		}
	}
}

// A node may still keep a checkpoint of what was lost. It accuses nobody, whether it ends
// behind the event that begins the new epoch or just there.
func TestCheckpointOfALostEpoch(t *testing.T) {
	t.Parallel()
	for lost := range int64(3) {
		w := newWorld(uint64(lost)).fill(60)
		cut := w.frontier.Size()
		kept, err := w.key.Sign(tree.Checkpoint{Origin: tree.Origin(clusterID, 1), Size: cut + 1 + lost, Root: tlog.Hash(w.random(32))})
		if err != nil {
			t.Fatal(err)
		}
		w.command(0, "system", domain.ClusterStream, cluster.EpochStarted{
			Epoch: 2, Reason: "restored", Checkpoint: kept, Cut: cut, CutRoot: w.frontier.Root().String(),
		})
		w.epoch = 2
		w.push()
		w.sign()
		report, err := w.log().verify(audit.Options{Keys: []ed25519.PublicKey{w.first}, Witnesses: []string{kept}})
		if err != nil || !report.Whole() {
			t.Errorf("a checkpoint of %d events behind the cut: %+v, %v", 1+lost, report, err)
		}
	}
}

// What was exported without personal data says so, and is whole otherwise.
func TestWithoutPersonalData(t *testing.T) {
	t.Parallel()
	w := newWorld(1).fill(100)
	l := w.log()
	l.header.Personal = false
	for i := range l.entries {
		l.entries[i].Personal = nil
	}
	report, err := l.verify(audit.Options{})
	if err != nil || !report.Whole() {
		t.Fatalf("%v %+v", err, report)
	}
	if notes := strings.Join(report.Notes, " "); !strings.Contains(notes, "Personal data was not given") || !strings.Contains(notes, "No key was given") {
		t.Error(notes)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.rotate()
	w.fill(60)
	stranger, _ := tree.NewKey()
	for name, c := range map[string]struct {
		keys []ed25519.PublicKey
		good bool
	}{
		"the first":        {[]ed25519.PublicKey{w.first}, true},
		"the source's own": {nil, true},
		"another's":        {[]ed25519.PublicKey{stranger.Public()}, false},
		"one among others": {[]ed25519.PublicKey{stranger.Public(), w.first}, true},
	} {
		report, err := w.log().verify(audit.Options{Keys: c.keys})
		if err != nil || report.Whole() != c.good {
			t.Errorf("%s: %v %+v", name, err, report)
		}
	}
}

// damage does something to a log that must be found, and says where. It returns 0 if the
// log has nothing to be damaged so. exact says that the position itself must be named,
// and not only a range.
type damage struct {
	name  string
	exact bool
	do    func(w *world, l *logOf, r *rand.Rand) (position int64)
}

func pick(l *logOf, r *rand.Rand) int { return r.IntN(len(l.entries)) }

func replaceIn(l *logOf, i int, from, to string) bool {
	edited := bytes.Replace(l.entries[i].Leaf, []byte(from), []byte(to), 1)
	if bytes.Equal(edited, l.entries[i].Leaf) {
		return false
	}
	l.entries[i].Leaf = edited
	return true
}

// rehash makes the tiles say what the events say, as who can write both would.
func rehash(l *logOf, from int) {
	for i := range l.entries[from:] {
		e := &l.entries[from+i]
		hash := tlog.Hash(eventstore.LeafHash(e.Leaf))
		e.Hash, e.Hashed = hash, true
	}
}

var damages = []damage{
	{"a byte", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i := pick(l, r)
		leaf := l.entries[i].Leaf
		leaf[r.IntN(len(leaf))] ^= byte(1 + r.IntN(255))
		return int64(i + 1)
	}},
	{"body", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		for range 100 {
			if i := pick(l, r); replaceIn(l, i, `refs/heads/branch-1`, `refs/heads/branch-2`) {
				return int64(i + 1)
			}
		}
		return 0
	}},
	{"actor", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		for range 100 {
			if i := pick(l, r); replaceIn(l, i, `"meta":{"actor":3`, `"meta":{"actor":4`) {
				return int64(i + 1)
			}
		}
		return 0
	}},
	{"time", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i := pick(l, r)
		at := []byte(`{"at":"2027-01-15T0`)
		digit := &l.entries[i].Leaf[len(at)]
		*digit = '0' + (*digit-'0'+1)%10
		return int64(i + 1)
	}},
	{"commitment", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		for range 100 {
			i := pick(l, r)
			at := bytes.Index(l.entries[i].Leaf, []byte(`"origin":"`))
			if at < 0 {
				continue
			}
			c := &l.entries[i].Leaf[at+len(`"origin":"`)+5]
			if *c == 'A' {
				*c = 'B'
			} else {
				*c = 'A'
			}
			return int64(i + 1)
		}
		return 0
	}},
	{"body and tile", false, func(_ *world, l *logOf, r *rand.Rand) int64 {
		for range 100 {
			if i := pick(l, r); replaceIn(l, i, `"request":"`, `"request":"x`) {
				rehash(l, i)
				return int64(i + 1)
			}
		}
		return 0
	}},
	{"deleted row", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i := r.IntN(len(l.entries) - 1) // without the last, it is a log that was cut off: see below
		l.entries = slices.Delete(l.entries, i, i+1)
		return int64(i + 1)
	}},
	{"deleted row, the rest moved up", false, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i := pick(l, r)
		l.entries = slices.Delete(l.entries, i, i+1)
		for j := i; j < len(l.entries); j++ {
			l.entries[j].Position--
		}
		return int64(i + 1)
	}},
	{"inserted row", false, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i, j := pick(l, r), pick(l, r)
		if i == j { // of two alike the second is the wrong one
			return 0
		}
		l.entries = slices.Insert(l.entries, i, l.entries[j])
		return int64(i + 1)
	}},
	{"inserted row, all moved down and hashed anew", false, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i, j := pick(l, r), pick(l, r)
		if i == j {
			return 0
		}
		l.entries = slices.Insert(l.entries, i, l.entries[j])
		for j := range l.entries {
			l.entries[j].Position = int64(j + 1)
		}
		rehash(l, i)
		return int64(i + 1)
	}},
	{"swapped rows", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i, j := pick(l, r), pick(l, r)
		if i == j {
			return 0
		}
		l.entries[i], l.entries[j] = l.entries[j], l.entries[i]
		return int64(min(i, j) + 1)
	}},
	{"swapped events at their positions", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i, j := pick(l, r), pick(l, r)
		if i == j {
			return 0
		}
		l.entries[i].Leaf, l.entries[j].Leaf = l.entries[j].Leaf, l.entries[i].Leaf
		return int64(min(i, j) + 1)
	}},
	{"tile", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i := pick(l, r)
		l.entries[i].Hash[r.IntN(32)] ^= 1
		return int64(i + 1)
	}},
	{"rolled-back database", false, func(_ *world, l *logOf, r *rand.Rand) int64 {
		cut := 1 + r.IntN(len(l.entries)-1)
		l.entries = l.entries[:cut]
		l.notes = slices.DeleteFunc(l.notes, func(n sized) bool { return n.size > int64(cut) })
		l.header.To = int64(cut)
		return int64(cut + 1)
	}},
	{"forked checkpoint", false, func(w *world, l *logOf, r *rand.Rand) int64 {
		// By the true key, as only its holder can.
		n := &l.notes[len(l.notes)-1]
		n.signed, _ = w.key.Sign(tree.Checkpoint{Origin: tree.Origin(clusterID, 1), Size: n.size, Root: tlog.Hash(w.random(32))})
		return n.size
	}},
	{"second checkpoint of the same size", true, func(w *world, l *logOf, r *rand.Rand) int64 {
		size := l.notes[len(l.notes)-1].size
		l.header.Checkpoint, _ = w.key.Sign(tree.Checkpoint{Origin: tree.Origin(clusterID, 1), Size: size, Root: tlog.Hash(w.random(32))})
		return size
	}},
	{"replayed old checkpoint", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		n := l.notes[r.IntN(len(l.notes)-1)]
		l.header.Checkpoint = n.signed
		return n.size
	}},
	{"old checkpoint in the place of another", false, func(_ *world, l *logOf, r *rand.Rand) int64 {
		i := 1 + r.IntN(len(l.notes)-1)
		l.notes[i].signed = l.notes[i-1].signed
		return l.notes[i].size
	}},
	{"checkpoint signed by a stranger", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		stranger, _ := tree.NewKey()
		n := &l.notes[r.IntN(len(l.notes))]
		c, _ := tree.PeekCheckpoint(n.signed)
		n.signed, _ = stranger.Sign(c)
		return n.size
	}},
	{"salt", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		return personalAt(l, r, func(e *audit.Entry) { p := &e.Personal[0]; p.Salt = slices.Clone(p.Salt); p.Salt[3] ^= 4 })
	}},
	{"personal data", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		return personalAt(l, r, func(e *audit.Entry) { p := &e.Personal[0]; p.Data = append(slices.Clone(p.Data), ' ') })
	}},
	{"personal data gone", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		return personalAt(l, r, func(e *audit.Entry) { e.Personal = e.Personal[1:] })
	}},
	{"personal data of somebody else", true, func(_ *world, l *logOf, r *rand.Rand) int64 {
		return personalAt(l, r, func(e *audit.Entry) { e.Personal[0] = l.entries[1].Personal[0] })
	}},
	{"resurrected", true, func(w *world, l *logOf, r *rand.Rand) int64 {
		for position, rows := range w.removed {
			if len(l.entries[position-1].Personal) < len(rows) {
				l.entries[position-1].Personal = rows
				return position
			}
		}
		return 0
	}},
	{"ref without event", false, func(w *world, l *logOf, r *rand.Rand) int64 {
		for id, refs := range l.refs {
			for name := range refs {
				refs[name] = [20]byte{1}
				_ = id
				return lastOf(l, fmt.Sprintf(`"name":%q`, name), fmt.Sprintf("repository/%d", id))
			}
		}
		return 0
	}},
	{"ref gone without event", false, func(w *world, l *logOf, r *rand.Rand) int64 {
		for id, refs := range l.refs {
			for name := range refs {
				delete(refs, name)
				return lastOf(l, fmt.Sprintf(`"name":%q`, name), fmt.Sprintf("repository/%d", id))
			}
		}
		return 0
	}},
	{"ref from nowhere", false, func(w *world, l *logOf, r *rand.Rand) int64 {
		l.refs[1]["refs/heads/from-nowhere"] = [20]byte{1}
		return int64(len(l.entries))
	}},
}

func personalAt(l *logOf, r *rand.Rand, do func(*audit.Entry)) int64 {
	for range 100 {
		if i := 2 + r.IntN(len(l.entries)-2); len(l.entries[i].Personal) > 0 {
			l.entries[i].Personal = slices.Clone(l.entries[i].Personal)
			do(&l.entries[i])
			return int64(i + 1)
		}
	}
	return 0
}

// lastOf is the position of the last event that holds all texts.
func lastOf(l *logOf, texts ...string) int64 {
	for i := len(l.entries) - 1; i >= 0; i-- {
		all := true
		for _, text := range texts {
			all = all && bytes.Contains(l.entries[i].Leaf, []byte(text))
		}
		if all {
			return int64(i + 1)
		}
	}
	return 0
}

// A thousand logs that somebody has tampered with: every one is found, and the first bad
// position named.
func TestDamages(t *testing.T) {
	t.Parallel()
	count := 1000
	if os.Getenv("ANNAL_LONG") != "" {
		count = 20_000
	}
	var worlds []*world
	for seed := range uint64(10) {
		worlds = append(worlds, newWorld(seed).fill(60+10*int(seed)))
	}
	done := 0
	for n := 0; done < count; n++ {
		w, d, r := worlds[n%len(worlds)], damages[n%len(damages)], rand.New(rand.NewPCG(uint64(n), 1))
		l := w.log()
		l.pages = 1 + r.IntN(50)
		position := d.do(w, l, r)
		if position == 0 {
			continue
		}
		done++
		report, err := l.verify(audit.Options{Keys: []ed25519.PublicKey{w.first}})
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		if report.Whole() {
			t.Errorf("damage %d, %s at %d, is not found", n, d.name, position)
			continue
		}
		first := report.Findings[0]
		if position < first.First || position > first.Last || (d.exact && first.First != first.Last) {
			t.Errorf("damage %d, %s at %d, is named as %s (all: %v)", n, d.name, position, first, report.Findings)
		}
	}
}

// Exports that were cut off anywhere, or have a byte changed.
func TestDamagedExports(t *testing.T) {
	t.Parallel()
	w := newWorld(5).fill(120)
	data := exportOf(t, w.log())
	lines := bytes.SplitAfter(data, []byte("\n"))
	starts := make([]int, len(lines)+1)
	for i, line := range lines {
		starts[i+1] = starts[i] + len(line)
	}
	// positionAt is the first event whose line is not whole in the first n bytes.
	positionAt := func(n int) int64 {
		position := int64(1)
		for i, line := range lines {
			if bytes.HasPrefix(line, []byte(`{"position":`)) && starts[i+1] <= n {
				position++
			}
		}
		return position
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		cut := starts[1] + r.IntN(len(data)-starts[1])
		report, err := verifyExport(data[:cut], audit.Options{Keys: []ed25519.PublicKey{w.first}})
		if err != nil {
			t.Fatal(err)
		}
		if report.Whole() || report.Findings[0].First > positionAt(cut) || report.Findings[0].Last < positionAt(cut) {
			t.Errorf("cut off at byte %d, event %d: %v", cut, positionAt(cut), report.Findings)
		}
	}
	for range 300 {
		at := starts[1] + r.IntN(len(data)-starts[1])
		damaged := bytes.Clone(data)
		damaged[at] ^= byte(1 + r.IntN(255))
		report, err := verifyExport(damaged, audit.Options{Keys: []ed25519.PublicKey{w.first}})
		if err != nil {
			t.Fatal(err)
		}
		if report.Whole() {
			t.Errorf("byte %d was %q and is %q: not found", at, data[at], damaged[at])
		}
	}
}

func FuzzVerifyExport(f *testing.F) {
	w := newWorld(2).fill(30)
	f.Add(exportOf(f, w.log()))
	f.Add([]byte(`{"annal":"export","version":1,"header":{"cluster":"x","from":1}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		report, err := verifyExport(data, audit.Options{Keys: []ed25519.PublicKey{w.first}})
		if err == nil && report.Whole() && report.Root != w.frontier.Root().String() {
			c, _ := tree.PeekCheckpoint(string(data))
			t.Errorf("whole, but another log: %+v %+v", report, c)
		}
	})
}
