package inspect_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/inspect"
	"github.com/annal-git/annal/gitfs/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const storage = "0b5b3c9e-5ab0-4b5e-9d0c-0b5b3c9e5ab0"

// look receives what revisions name into a repository that has base, and inspects it.
func look(t *testing.T, s *store.Store, base *store.Objects, dir, revisions string, content rules.Content, tips ...inspect.Tip) []rules.Refusal {
	t.Helper()
	packed, err := gitfstest.TryGit(t, dir, []byte(revisions), "pack-objects", "--stdout", "--quiet", "--revs", "--thin", "--delta-base-offset")
	if err != nil {
		t.Fatal(packed)
	}
	i, err := inspect.New(t.Context(), content, rules.Pusher{Names: []string{"Ada"}, Email: "ada@example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.Receive(t.Context(), storage, base, bytes.NewReader([]byte(packed)), store.ReceiveOptions{ToEnd: true, Inspector: i})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Discard() }()
	refusals, err := i.Finish(t.Context(), q, base, tips)
	if err != nil {
		t.Fatal(err)
	}
	return refusals
}

// history makes commits on main, each with a file that is a delta of the one before it and
// some with a secret or a large file.
func history(t *testing.T, commits int) (dir string, secret, large map[int]bool) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "repository.git")
	gitfstest.Git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	var b bytes.Buffer
	secret, large = map[int]bool{}, map[int]bool{}
	for n := 1; n <= commits; n++ {
		fmt.Fprintf(&b, "commit refs/heads/main\nmark :%d\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 8\nChange \n\n", n)
		if n > 1 {
			fmt.Fprintf(&b, "from :%d\n", n-1)
		}
		text := strings.Repeat(fmt.Sprintf("line of all %d\n", n/50), 400) + fmt.Sprintf("of %d\n", n)
		if n%17 == 0 {
			secret[n] = true
			text += fmt.Sprintf("key = glpat-%s%08d\n", "abcdefghijkl", n)
		}
		fmt.Fprintf(&b, "M 100644 inline d/e/file\ndata %d\n%s\n", len(text), text)
		if n%40 == 0 {
			large[n] = true
			text = strings.Repeat(fmt.Sprintf("%d large\n", n), 300_000)
			fmt.Fprintf(&b, "M 100644 inline large%d\ndata %d\n%s\n", n, len(text), text)
		}
	}
	gitfstest.GitInput(t, dir, b.Bytes(), "fast-import", "--quiet")
	gitfstest.Git(t, dir, "repack", "-adfq", "--depth=50")
	return dir, secret, large
}

// Every file with something in it is found wherever it lies in the pack, as a whole object
// or as a delta, and is put down to the commit that brought it.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir, secret, large := history(t, 200)
	s, _ := gitfstest.NewStore(t)
	tip := inspect.Tip{Ref: "refs/heads/main"}
	refusals := look(t, s, nil, dir, "main\n", rules.Content{MaxFileSize: 1 << 20, Secrets: true, Mark: "x"}, tip)
	ids := strings.Fields(gitfstest.Git(t, dir, "rev-list", "--reverse", "main"))
	found := map[string]bool{}
	for _, r := range refusals {
		found[r.Rule+r.Commit.String()] = true
		if r.Rule == rules.RuleSecrets && (r.Path != "d/e/file" || r.Line != 402 || strings.Contains(r.Text, "glpat-a")) || r.Ref != tip.Ref {
			t.Errorf("%+v", r)
		}
	}
	for n, id := range ids {
		if found[rules.RuleSecrets+id] != secret[n+1] || found[rules.RuleFileSize+id] != large[n+1] {
			t.Errorf("commit %d: secret found: %t, large file found: %t", n+1, found[rules.RuleSecrets+id], found[rules.RuleFileSize+id])
		}
	}
	if len(refusals) != len(secret)+len(large) {
		t.Errorf("%d refusals, want %d and %d", len(refusals), len(secret), len(large))
	}
	if refusals := look(t, s, nil, dir, "main\n", rules.Content{MaxFileSize: 1 << 30, Committer: true, Message: "^Change", Mark: "x"}, tip); len(refusals) > 0 {
		t.Errorf("refused for nothing: %+v", refusals)
	}
	// Every commit is refused, and the answer is bounded.
	if refusals := look(t, s, nil, dir, "main\n", rules.Content{Message: "^Nothing", Mark: "x"}, tip); len(refusals) != 50 {
		t.Errorf("%d refusals are listed", len(refusals))
	}
}

// What the repository had is not looked at again, and what only one of several refs reaches
// is put down to that one.
func TestWhatIsNew(t *testing.T) {
	t.Parallel()
	dir, _, _ := history(t, 20) // the 17th has a secret
	s, config := gitfstest.NewStore(t)
	at := func(revision string) git.ObjectID {
		id, err := git.ParseObjectID(gitfstest.Git(t, dir, "rev-parse", revision))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	gitfstest.Git(t, dir, "branch", "old", "main~2")    // with it
	gitfstest.Git(t, dir, "branch", "before", "main~5") // without
	content := rules.Content{Secrets: true, Mark: "x"}
	base := gitfstest.Pin(t, s, gitfstest.InstallPushed(t, config.SharedHome, dir, []string{"old"})...)
	if refusals := look(t, s, base, dir, "main\n^old\n", content, inspect.Tip{Ref: "main", ID: at("main")}); len(refusals) > 0 {
		t.Errorf("what was there is refused: %+v", refusals)
	}
	// A client may send again what the repository has.
	if refusals := look(t, s, base, dir, "main\n", content, inspect.Tip{Ref: "main", ID: at("main")}); len(refusals) > 0 {
		t.Errorf("what was there and was sent again is refused: %+v", refusals)
	}
	refusals := look(t, s, nil, dir, "main\n", content, inspect.Tip{Ref: "before", ID: at("before")}, inspect.Tip{Ref: "main", ID: at("main")})
	if len(refusals) != 1 || refusals[0].Ref != "main" || refusals[0].Commit != at("main~3") {
		t.Errorf("%+v, want one of main, by %s", refusals, at("main~3"))
	}
}
