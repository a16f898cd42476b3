package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
)

// Options of a verification.
type Options struct {
	Types *eventstore.Registry
	// Keys are public keys that are trusted: one of them must be the first that signed, or
	// the one before which nothing is verified. If none is given, the one that the source
	// names is taken, which proves only that the source agrees with itself.
	Keys     []ed25519.PublicKey
	TreeOnly bool // signatures and the tree, and nothing else
	Progress func(position int64)
	// Refs, if not nil, is compared with the fold of the log.
	Refs func(ctx context.Context, fold *RefsFold) error
	// Witnesses are signed checkpoints that were kept elsewhere.
	Witnesses []string
	// CheckFiles, if not nil, finds what is wrong with the files beside the log.
	CheckFiles func(ctx context.Context) ([]Finding, error)
}

// Verify verifies everything that a source yields. What is wrong with the log is in the
// report; an error means that it could not be read to the end for another reason.
func Verify(ctx context.Context, source Source, options Options) (*Report, error) {
	v, err := newVerifier(source, options)
	if err != nil {
		return nil, err
	}
	group, running := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	work := make(chan *job, workers)
	ordered := make(chan *job, 2*workers)
	group.Go(func() error {
		defer close(work)
		defer close(ordered)
		return read(running, source, work, ordered)
	})
	for range workers {
		group.Go(func() error {
			for j := range work {
				j.parse(options, v.keys)
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error { return v.fold(running, ordered) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := v.finish(ctx); err != nil {
		return nil, err
	}
	return v.report, nil
}

// job is a page on its way from the source, through any core, to the fold.
type job struct {
	page   *Page
	parsed []parsed
	notes  []checkedNote
	err    error // the page cannot be read behind its last entry
	done   chan struct{}
}

// checkedNote is a checkpoint and a key that it was tried with.
type checkedNote struct {
	checkpoint tree.Checkpoint
	key        ed25519.PublicKey // that has signed it; nil if none that was known has
	err        error
}

func read(ctx context.Context, source Source, work, ordered chan<- *job) error {
	for {
		page, err := source.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var input *InputError
		if err != nil && !errors.As(err, &input) {
			return err
		}
		j := &job{page: page, err: err, done: make(chan struct{})}
		if page == nil {
			j.page = &Page{}
		}
		for _, to := range []chan<- *job{work, ordered} {
			select {
			case to <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return nil
		}
	}
}

// parse does all of the work on a page that does not need its order.
func (j *job) parse(options Options, keys func() []ed25519.PublicKey) {
	if j.page.Parse != nil && j.err == nil {
		j.page.TreeOnly = options.TreeOnly
		j.err = j.page.Parse(j.page)
	}
	j.parsed = make([]parsed, len(j.page.Entries))
	for i := range j.page.Entries {
		e, p := &j.page.Entries[i], &j.parsed[i]
		p.hash = tlog.Hash(eventstore.LeafHash(e.Leaf))
		p.uncommitted = -1
		if options.TreeOnly && !concernsTree(e.Leaf) {
			continue
		}
		p.parse(options.Types, e.Leaf)
		if p.err == nil && !options.TreeOnly {
			p.uncommitted = checkCommitments(e, p)
		}
	}
	for _, n := range j.page.Notes {
		checked := checkedNote{}
		if checked.checkpoint, checked.err = tree.PeekCheckpoint(n.Signed); checked.err == nil {
			for _, key := range keys() {
				if _, err := tree.OpenCheckpoint(n.Signed, key); err == nil {
					checked.key = key
				}
			}
		}
		j.notes = append(j.notes, checked)
	}
}

// concernsTree reports whether an event changes how the tree itself is verified: those
// stand in the cluster's stream.
func concernsTree(leaf []byte) bool {
	const most = 100 // bytes of what stands behind the metadata
	return bytes.Contains(leaf[max(len(leaf)-most, 0):], []byte(`,"stream":"cluster","type":"cluster.`))
}

// verifier folds pages in order.
type verifier struct {
	source  Source
	options Options
	header  Header
	report  *Report
	keyring

	findings findings
	history  tree.History
	frontier tree.Frontier  // of the events as they are
	tiles    *tree.Frontier // of what the tiles say; nil as long as it is the same
	parted   Finding        // where tiles and events part, until a checkpoint says which is right
	before   tlog.Hash      // root of the tree before the event that is being folded, if that starts an epoch
	newest   string         // the newest checkpoint, as signed
	next     int64          // position that must come
	signed   int64          // size of the newest checkpoint
	ended    bool
	kept     witnessed

	at       []byte
	streams  map[string]*int64
	previous parsed
	ids      idSet
	refs     *refs
	rights   *rights
	personal *personal
}

func newVerifier(source Source, options Options) (*verifier, error) {
	h := source.Header()
	v := &verifier{
		source: source, options: options, header: h, next: h.From,
		report:  &Report{Cluster: h.Cluster, From: h.From, To: h.From - 1, Notes: []string{}},
		streams: map[string]*int64{}, refs: newRefs(h.From > 1), rights: newRights(), personal: newPersonal(),
	}
	frontier, err := tree.NewFrontier(h.From-1, h.Frontier)
	if err != nil {
		return nil, &InputError{0, err}
	}
	v.frontier = frontier
	v.history.Cluster = h.Cluster
	if err := v.trust(h, options.Keys); err != nil {
		return nil, err
	}
	for _, k := range h.Keys {
		v.changeKey(k.Position, k.SigningKeyChanged)
	}
	for _, e := range h.Epochs {
		v.history.Add(e.Position, e.EpochStarted)
	}
	v.remember(options.Witnesses)
	return v, nil
}

func (v *verifier) fold(ctx context.Context, ordered <-chan *job) error {
	for j := range ordered {
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		notes := j.notes
		for i := 0; i <= len(j.parsed); i++ {
			for len(notes) > 0 && j.page.Notes[len(j.notes)-len(notes)].After == i {
				v.checkpoint(j.page.Notes[len(j.notes)-len(notes)].Signed, notes[0])
				notes = notes[1:]
			}
			if i < len(j.parsed) {
				v.event(&j.page.Entries[i], &j.parsed[i])
			}
		}
		if v.ended && (len(j.parsed) > 0 || len(j.notes) > 0) {
			v.findings.at(Input, v.next, "something follows the end")
		}
		v.ended = v.ended || j.page.Last
		if j.err != nil {
			v.findings.at(Input, v.next, "%s", j.err)
			v.ended = true // what follows, if anything does, was not read
			for range ordered {
				continue
			}
			return nil
		}
		if v.options.Progress != nil {
			v.options.Progress(v.next - 1)
		}
	}
	return nil
}

// event takes in one event.
func (v *verifier) event(e *Entry, p *parsed) {
	f := &v.findings
	if e.Position != v.next {
		f.at(Form, v.next, "event %d comes where event %d should be", e.Position, v.next)
	}
	// From here on what counts is where it stands.
	position := v.next
	v.next++
	v.report.Events++
	v.report.To = position
	v.hash(position, e, p)
	v.learn(position, e, p)
	if v.kept[position] != nil { // after the fold, which may begin an epoch here
		v.compareKept(position, v.frontier.Root())
	}
}

// learn takes in what an event means.
func (v *verifier) learn(position int64, e *Entry, p *parsed) {
	f := &v.findings
	if p.err != nil {
		f.at(Form, position, "%s", p.err)
		v.previous = parsed{}
		return
	}
	switch event := p.event.(type) {
	case cluster.Created:
		if event.ID != v.header.Cluster {
			f.at(Form, position, "the log is of cluster %.50q, and this is said to be one of %.50q", event.ID, v.header.Cluster)
		}
	case cluster.SigningKeyChanged:
		v.changeKey(position, event)
	case cluster.EpochStarted:
		v.epoch(position, event)
	}
	if !v.options.TreeOnly {
		v.state(position, e, p)
	}
}

// state folds what an event means for other things than the tree.
func (v *verifier) state(position int64, e *Entry, p *parsed) {
	f := &v.findings
	v.form(position, p)
	if p.uncommitted >= 0 {
		f.at(Personal, position, "the personal data beside it (%s) is not what it commits to", parts[p.uncommitted])
	} else if v.header.Personal {
		v.personal.add(f, e, p)
	}
	switch event := p.event.(type) {
	case repository.RefsUpdated:
		if id, ok := repositoryOf(p.stream); ok {
			v.refs.push(f, position, id, event)
		} else {
			f.at(Form, position, "a push stands in the stream %.50q, which is no repository's", p.stream)
		}
	case repository.Created:
		v.refs.of(event.ID).whole = true
	}
	if v.header.From == 1 {
		v.rights.add(f, position, p)
	}
	v.previous = *p
}

// hash adds an event to the tree and compares it with what the tiles have.
func (v *verifier) hash(position int64, e *Entry, p *parsed) {
	tile := p.hash
	if e.Hashed {
		tile = e.Hash
	}
	if tile != p.hash && v.tiles == nil {
		// Which of the two is wrong says the next checkpoint.
		before := v.frontier.Clone()
		v.tiles = &before
		v.parted = Finding{Class: Tree, First: position, Last: position, Message: "the event is not the one that the tiles have"}
	}
	if v.tiles != nil {
		v.tiles.Append(tile)
	}
	if p.kind == epochStarted {
		v.before = v.frontier.Root()
	}
	v.frontier.Append(p.hash)
}

var epochStarted = cluster.EpochStarted{}.EventType()

// form checks what holds between an event and the ones before it.
func (v *verifier) form(position int64, p *parsed) {
	f := &v.findings
	if bytes.Compare(p.at, v.at) < 0 {
		f.order(Form, position, "the time of event %d, %s, is before that of the event before it, %s", position, p.at, v.at)
	}
	v.at = append(v.at[:0], p.at...)
	version := v.streams[string(p.stream)]
	switch {
	case version == nil && v.header.From > 1:
		version = new(int64)
		*version = p.version - 1
		v.streams[string(p.stream)] = version
	case version == nil:
		version = new(int64)
		v.streams[string(p.stream)] = version
	}
	if p.version != *version+1 {
		f.order(Form, position, "event %d is version %d of the stream %.50q, which was at %d", position, p.version, p.stream, *version)
	}
	*version = p.version
	together := v.previous.stream != nil && p.id == v.previous.id
	switch {
	case together && (!bytes.Equal(p.stream, v.previous.stream) || !bytes.Equal(p.at, v.previous.at)):
		f.order(Form, position, "event %d has the id of the command before it, but another stream or time", position)
	case !together && v.ids.add(p.id):
		f.order(Form, position, "event %d has the id of an earlier command", position)
	}
}

// checkpoint compares a checkpoint with the tree as far as it has come.
func (v *verifier) checkpoint(signed string, n checkedNote) {
	f, size := &v.findings, v.next-1
	v.report.Checkpoints++
	from := v.signed + 1
	if n.err != nil {
		f.add(Signatures, from, max(size, from), "a checkpoint cannot be read: %s", n.err)
		return
	}
	c := n.checkpoint
	if c.Size != size {
		f.add(Signatures, min(c.Size, size), max(c.Size, size), "a checkpoint of %d events stands behind event %d", c.Size, size)
		return
	}
	if c.Size <= v.signed {
		f.at(Signatures, c.Size, "the checkpoint of %d events follows one of %d", c.Size, v.signed)
		return
	}
	if origin := v.history.Origin(size); c.Origin != origin {
		f.at(Signatures, size, "its checkpoint is of %s and not of %s", c.Origin, origin)
	}
	if key := v.current(); key == nil || !key.Equal(n.key) {
		if _, err := tree.OpenCheckpoint(signed, key); err != nil {
			// Either the checkpoint is at fault, or the event that changed the key is.
			if v.frontier.Root() == c.Root {
				from = size
			}
			f.add(Signatures, from, size, "%s", err)
			return
		}
	}
	if v.frontier.Root() != c.Root {
		switch {
		case v.tiles != nil && v.tiles.Root() == c.Root:
			f.add(Tree, v.parted.First, v.parted.First, "the event was changed: the tiles have another, which was signed")
		case v.tiles != nil:
			f.add(Tree, from, size, "neither the events nor the tiles have the root that was signed")
		default:
			f.add(Tree, from, size, "the events do not have the root that was signed")
		}
	} else if v.tiles != nil {
		f.add(Tree, v.parted.First, v.parted.First, "the tile was changed: the event is the one that was signed")
	}
	v.tiles, v.parted = nil, Finding{}
	v.signed, v.newest = size, signed
	v.report.Signed = size
}

func (v *verifier) epoch(position int64, e cluster.EpochStarted) {
	f := &v.findings
	if e.Epoch <= v.history.Epoch(position-1) {
		f.at(Epochs, position, "it starts epoch %d in epoch %d", e.Epoch, v.history.Epoch(position-1))
	}
	switch err := tree.CheckLink(e, position, v.before); {
	case errors.Is(err, tree.ErrUnproven):
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("Epoch %d, at position %d: %s.", e.Epoch, position, err))
	case err != nil:
		f.at(Epochs, position, "%s", err)
	default:
		v.checkOld(position, e)
	}
	v.history.Add(position, e)
	v.report.Notes = append(v.report.Notes, fmt.Sprintf("Epoch %d begins at position %d, because: %s", e.Epoch, position, e.Reason))
}

// checkOld checks that the key which signs now, or one before it, has signed the
// checkpoint that an epoch goes on from.
func (v *verifier) checkOld(position int64, e cluster.EpochStarted) {
	c, err := tree.PeekCheckpoint(e.Checkpoint)
	if err != nil {
		v.findings.at(Epochs, position, "%s", err)
		return
	}
	for _, key := range v.past {
		if _, err = tree.OpenCheckpoint(e.Checkpoint, key); err == nil {
			break
		}
	}
	if cluster, epoch, _ := tree.ParseOrigin(c.Origin); err == nil && (cluster != v.header.Cluster || epoch >= e.Epoch) {
		err = fmt.Errorf("it goes on from %s", c.Origin)
	}
	if err != nil {
		v.findings.at(Epochs, position, "%s", err)
	}
}

// finish says what can be said only at the end.
func (v *verifier) finish(ctx context.Context) error {
	f, last := &v.findings, v.next-1
	if v.tiles != nil {
		f.add(Tree, v.parted.First, v.parted.First, "%s", v.parted.Message)
	}
	if !v.ended {
		f.at(Input, v.next, "it is cut off")
	}
	v.covered(last)
	v.beyond(last)
	if v.header.To != 0 && last != v.header.To && f.none() {
		f.add(Input, v.signed+1, v.next, "it goes to event %d and was to go to %d", last, v.header.To)
	}
	if !v.options.TreeOnly {
		if v.header.Personal {
			v.report.Erased = v.personal.finish(f)
		} else {
			v.report.Notes = append(v.report.Notes, "Personal data was not given, so commitments to it were not checked.")
		}
		if v.header.From > 1 {
			v.report.Notes = append(v.report.Notes, "The log was not given from its start, so rights were not checked, and refs and streams only from where they first occur.")
		}
	}
	if v.options.Refs != nil {
		if err := v.options.Refs(ctx, &RefsFold{v}); err != nil {
			return err
		}
	}
	if v.options.CheckFiles != nil {
		found, err := v.options.CheckFiles(ctx)
		if err != nil {
			return err
		}
		for _, one := range found {
			f.add(one.Class, one.First, one.Last, "%s", one.Message)
		}
	}
	v.report.Root = v.frontier.Root().String()
	v.report.Findings = f.list()
	return nil
}

// covered compares what was read with the newest checkpoint that the source knows.
func (v *verifier) covered(last int64) {
	f := &v.findings
	if v.header.Checkpoint != "" && f.first[Input] == nil {
		c, err := tree.PeekCheckpoint(v.header.Checkpoint)
		switch {
		case err != nil:
			f.at(Signatures, v.next, "the newest checkpoint cannot be read: %s", err)
		case c.Size > last:
			f.add(Signatures, v.signed+1, v.next, "a checkpoint of %d events was signed, but the log ends behind event %d", c.Size, last)
		case c.Size > v.signed:
			f.at(Signatures, c.Size, "the newest checkpoint, of %d events, is missing among the others", c.Size)
		case c.Size < v.signed:
			f.at(Signatures, c.Size, "what is called the newest checkpoint covers %d events, but %d were signed", c.Size, v.signed)
		case v.newest != "" && v.newest != v.header.Checkpoint:
			f.at(Signatures, c.Size, "there are two checkpoints of %d events", c.Size)
		}
	}
	if v.signed == 0 && last >= v.header.From && f.none() {
		f.at(Signatures, v.header.From, "no checkpoint covers anything of it")
	} else if v.signed < last {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("No checkpoint covers positions %d to %d yet.", v.signed+1, last))
	}
}
