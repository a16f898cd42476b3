package annotate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
	"github.com/annal-git/annal/gitfs/store"
)

// Tag is what an annotated tag says.
type Tag struct {
	Name        string // without refs/tags/
	Target      git.ObjectID
	TargetType  object.Type
	TaggerName  string
	TaggerEmail string
	When        time.Time
	Message     string
}

// maxMessage bounds a message, in bytes.
const maxMessage = 64 << 10

// Tagger makes annotated tags. It is safe for concurrent use.
type Tagger struct{ store *store.Store }

// New makes a Tagger.
func New(s *store.Store) *Tagger { return &Tagger{s} }

// Make puts the tag's object onto the shared home, in a pack of its own, which counts once it
// is registered by a push. Errors are *domain.InvalidError for a message that cannot be kept,
// and those of store.Receive and Quarantine.Publish.
func (t *Tagger) Make(ctx context.Context, s *gitfs.Snapshot, tag Tag) (id git.ObjectID, p *git.Pack, err error) {
	if len(tag.Message) > maxMessage || strings.ContainsRune(tag.Message, 0) {
		return id, nil, domain.Invalid("message", "The message must be text of at most %d bytes.", maxMessage)
	}
	data := tag.bytes()
	var file bytes.Buffer
	w, err := pack.NewWriter(&file, 1)
	if err != nil {
		return id, nil, err
	}
	if err := w.WriteObject(object.TypeTag, data, 1); err != nil {
		return id, nil, err
	}
	if _, err := w.Close(); err != nil {
		return id, nil, err
	}
	objects, err := t.store.Objects(ctx, s.Storage, s.Packs)
	if err != nil {
		return id, nil, err
	}
	defer objects.Release()
	q, err := t.store.Receive(ctx, s.Storage, objects, &file, store.ReceiveOptions{ToEnd: true})
	if err != nil {
		return id, nil, fmt.Errorf("make a tag: %w", err)
	}
	defer func() { err = errors.Join(err, q.Discard()) }()
	if err := q.Publish(ctx); err != nil {
		return id, nil, fmt.Errorf("make a tag: %w", err)
	}
	info := q.Pack()
	return object.Hash(object.TypeTag, data), &info, nil
}

// bytes is the tag as Git stores it (gitformat-signature(5) aside, git-mktag(1)).
func (tag Tag) bytes() []byte {
	message := strings.TrimRight(tag.Message, "\n") + "\n"
	return fmt.Appendf(nil, "object %s\ntype %s\ntag %s\ntagger %s <%s> %d +0000\n\n%s",
		tag.Target, tag.TargetType, tag.Name, plain(tag.TaggerName), plain(tag.TaggerEmail), tag.When.Unix(), message)
}

// plain leaves out of a name what would end it.
func plain(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == '<' || r == '>' {
			return -1
		}
		return r
	}, name))
}
