package inspect

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/domain/secrets"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/signature"
	"github.com/annal-git/annal/gitfs/store"
)

// Bounds of what is remembered of one push.
const (
	maxFound   = 10_000 // findings; with more nobody asks where the rest is
	maxMessage = 64 << 10
)

// Inspector looks at the objects of one push. It implements store.Inspector.
type Inspector struct {
	ctx      context.Context // of the push
	content  rules.Content
	pusher   rules.Pusher
	verifier *signature.Verifier
	message  *regexp.Regexp
	scanner  *secrets.Scanner
	allowed  []allowance
	paths    []pathRule
	linesAt  []*regexp.Regexp // the paths of the scanner's own rules, nil for all
	sinks    sync.Pool

	mu      sync.Mutex
	commits []commitFinding
	blobs   map[git.ObjectID][]blobFinding
	found   int
	err     error // the first of the verifier
}

type commitFinding struct {
	id   git.ObjectID
	rule string
	text string
}

// blobFinding is something about a blob, unless it is at a path for which it is allowed.
type blobFinding struct {
	secrets.Finding
	size  int64          // of the blob, if that is what is wrong; else 0
	lines allowanceSet   // that let its line pass at their paths
	path  *regexp.Regexp // at which the rule that found it holds; nil: at all
}

// allowanceSet is some of the allowances, of which a repository and its project have at
// most twice rules.MaxSecretRules, as bits.
type allowanceSet [4]uint64

func (s *allowanceSet) add(n int) { s[n/64%len(s)] |= 1 << (n % 64) }

func (s *allowanceSet) has(n int) bool { return s[n/64%len(s)]>>(n%64)&1 != 0 }

// allowance is a rule that tells what is no secret.
type allowance struct{ line, path *regexp.Regexp }

// pathRule forbids files by their paths alone.
type pathRule struct {
	name string
	path *regexp.Regexp
}

// New makes an Inspector of one push. ctx is that of the push. keys are asked if commits
// must be signed; nil means that nobody has any. The error is a *domain.InvalidError if a pattern does not compile.
func New(ctx context.Context, content rules.Content, pusher rules.Pusher, keys signature.Keys) (*Inspector, error) {
	i := &Inspector{ctx: ctx, content: content, pusher: pusher, verifier: signature.NewVerifier(keys), blobs: map[git.ObjectID][]blobFinding{}}
	i.sinks.New = func() any { return &sink{inspector: i} }
	var err error
	if content.Message != "" {
		if i.message, err = regexp.Compile(content.Message); err != nil {
			return nil, fmt.Errorf("pattern of commit messages: %w", err)
		}
	}
	if !content.Secrets {
		return i, nil
	}
	err = i.compile()
	return i, err
}

func (i *Inspector) compile() error {
	var patterns []secrets.Pattern
	for _, r := range i.content.SecretRules {
		if r.LineRegex == "" {
			path, err := regexp.Compile(r.PathRegex)
			if err != nil {
				return fmt.Errorf("secret rule %d: %w", r.ID, err)
			}
			i.paths = append(i.paths, pathRule{r.Name, path})
			continue
		}
		var path *regexp.Regexp
		if r.PathRegex != "" {
			var err error
			if path, err = regexp.Compile(r.PathRegex); err != nil {
				return fmt.Errorf("secret rule %d: %w", r.ID, err)
			}
		}
		patterns, i.linesAt = append(patterns, secrets.Pattern{Name: r.Name, Line: r.LineRegex}), append(i.linesAt, path)
	}
	var err error
	if i.scanner, err = secrets.New(patterns); err != nil {
		return err
	}
	for _, r := range i.content.Allowances {
		var a allowance
		if r.LineRegex != "" {
			if a.line, err = regexp.Compile(r.LineRegex); err != nil {
				return fmt.Errorf("allowance %d: %w", r.ID, err)
			}
		}
		if r.PathRegex != "" {
			if a.path, err = regexp.Compile(r.PathRegex); err != nil {
				return fmt.Errorf("allowance %d: %w", r.ID, err)
			}
		}
		i.allowed = append(i.allowed, a)
	}
	return nil
}

// Commit implements store.Inspector.
func (i *Inspector) Commit(id git.ObjectID, content []byte) {
	c := &i.content
	if !c.Committer && i.message == nil && !c.Signed {
		return
	}
	commit, err := object.ParseCommit(content)
	if err != nil {
		i.fail(err) // it has been checked
		return
	}
	if c.Committer && !i.isPusher(commit.Committer) {
		i.refuse(id, rules.RuleCommitter, i.notYou("committer", commit.Committer))
	} else if c.Author && !i.isPusher(commit.Author) {
		i.refuse(id, rules.RuleCommitter, i.notYou("author", commit.Author))
	}
	if i.message != nil && !(c.ExemptMerges && len(commit.Parents) > 1) && !i.message.MatchString(commit.Message[:min(len(commit.Message), maxMessage)]) {
		i.refuse(id, rules.RuleMessage, fmt.Sprintf("its message does not match the pattern %s. Reword it (git rebase -i, or git commit --amend), and push again", quote(c.Message)))
	}
	if c.Signed {
		i.verify(id, content, commit)
	}
}

func (i *Inspector) isPusher(s object.Signature) bool {
	if i.pusher.Email != "" && strings.EqualFold(s.Email, i.pusher.Email) {
		return true
	}
	for _, name := range i.pusher.Names {
		if name != "" && strings.EqualFold(s.Name, name) {
			return true
		}
	}
	return false
}

func (i *Inspector) notYou(role string, s object.Signature) string {
	who := strings.Join(i.pusher.Names, ", ")
	return fmt.Sprintf("its %s %s is not you (%s <%s>). Set user.name and user.email, and make it again (git commit --amend --reset-author)",
		role, quote(s.Name+" <"+s.Email+">"), who, i.pusher.Email)
}

func (i *Inspector) verify(id git.ObjectID, content []byte, commit *object.Commit) {
	payload, proof := object.Signed(content)
	reason := "it is not signed"
	if len(proof) > 0 {
		var err error
		if reason, err = i.verifier.Verify(i.ctx, payload, proof, commit.Committer.Email); err != nil {
			i.fail(err)
			return
		}
	}
	if reason != "" {
		i.refuse(id, rules.RuleSigned, reason+". Sign it (git commit -S) with a key that its committer has added to his account, and push again")
	}
}

func (i *Inspector) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.err = err
	}
}

func (i *Inspector) refuse(id git.ObjectID, rule, text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.found++; i.found <= maxFound {
		i.commits = append(i.commits, commitFinding{id, rule, text})
	}
}

// Blob implements store.Inspector.
func (i *Inspector) Blob(size int64) store.BlobSink {
	tooLarge := i.content.MaxFileSize > 0 && size > i.content.MaxFileSize
	if i.scanner == nil && !tooLarge {
		return nil
	}
	s := i.sinks.Get().(*sink)
	s.size, s.found = 0, s.found[:0]
	if tooLarge {
		s.size = size
	}
	if i.scanner != nil {
		s.text.Reset(i.scanner, s.tell)
	}
	return s
}

// sink looks at one blob. It implements store.BlobSink.
type sink struct {
	inspector *Inspector
	text      secrets.Text
	size      int64 // if it is too large
	found     []blobFinding
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	if s.inspector.scanner == nil {
		return len(p), nil
	}
	return s.text.Write(p)
}

// tell keeps the first finding of each kind.
func (s *sink) tell(f secrets.Finding, line []byte) {
	found := blobFinding{Finding: f}
	if f.Own > 0 {
		found.path = s.inspector.linesAt[f.Own-1]
	}
	for n, a := range s.inspector.allowed {
		switch {
		case a.line != nil && !a.line.Match(line):
		case a.path == nil:
			return
		default:
			found.lines.add(n)
		}
	}
	for _, before := range s.found {
		if before.Rule == f.Rule && before.Own == f.Own && before.lines == found.lines {
			return
		}
	}
	if len(s.found) <= maxFound {
		s.found = append(s.found, found)
	}
}

// End implements store.BlobSink.
func (s *sink) End(id git.ObjectID) {
	i := s.inspector
	if i.scanner != nil {
		s.text.End()
	}
	if s.size > 0 {
		s.found = append(s.found, blobFinding{size: s.size})
	}
	if len(s.found) > 0 {
		i.mu.Lock()
		if i.found += len(s.found); i.found <= maxFound {
			i.blobs[id] = slices.Clone(s.found)
		}
		i.mu.Unlock()
	}
	i.sinks.Put(s)
}
