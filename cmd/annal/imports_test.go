package main_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/annal-git/annal/"

// rooms lists, for each folder at the top, what it may import of the module. Imports
// point one way, so that a room can be understood without those above it.
var rooms = map[string][]string{
	"domain":      {"domain"},
	"migrations":  {},
	"eventstore":  {"eventstore", "domain", "migrations"},
	"projections": {"projections", "eventstore", "domain"},
	"gitfs":       {"gitfs", "eventstore", "domain"},
	"api":         {"api", "projections", "gitfs", "eventstore", "domain"},
	"workers":     {"workers", "projections", "gitfs", "eventstore", "domain"},
	"cmd":         {"cmd", "api", "workers", "projections", "gitfs", "eventstore", "domain"},
}

// vendors lists where a library may be used, so that exchanging it stays a change in
// one room.
var vendors = []struct {
	path   string
	rooms  []string
	reason string
}{
	{"github.com/jackc/pgx", []string{"eventstore", "projections", "workers", "cmd"}, "handlers ask queries, they do not write SQL"},
	{"github.com/go-git/go-git", []string{"gitfs"}, "the rest of the house speaks of repositories in Annal's own nouns"},
	{"github.com/opensearch-project", []string{"projections"}, "search is a read model"},
	{"github.com/labstack/echo", []string{"api", "cmd"}, "only handlers know of HTTP"},
	{"github.com/ThreeDotsLabs/watermill", []string{"workers"}, "only workers consume messages"},
	{"github.com/hashicorp/memberlist", []string{"workers"}, "gossip only hints, and only workers listen"},
	{"github.com/alecthomas/kong", []string{"cmd"}, "the command line is read in one place"},
}

func TestImports(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files++
		checkImports(t, path, filepath.ToSlash(relative))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were checked: has the module moved?", files)
	}
}

func checkImports(t *testing.T, path, relative string) {
	t.Helper()
	room, _, _ := strings.Cut(relative, "/")
	allowed, known := rooms[room]
	if !known {
		t.Errorf("%s: %q is none of the rooms", relative, room)
		return
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	// Packages that help tests may use what tests may use.
	testing := strings.HasSuffix(filepath.Dir(relative), "test")
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if inner, ours := strings.CutPrefix(imported, module); ours {
			other, _, _ := strings.Cut(inner, "/")
			if !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s: %s may import %v", relative, imported, room, allowed)
			}
			if strings.HasSuffix(imported, "test") && !testing {
				t.Errorf("%s imports %s, which is for tests", relative, imported)
			}
			continue
		}
		if room == "domain" && strings.Contains(imported, ".") {
			t.Errorf("%s imports %s: the domain uses the standard library only", relative, imported)
		}
		for _, vendor := range vendors {
			if strings.HasPrefix(imported, vendor.path) && !slices.Contains(vendor.rooms, room) && !testing {
				t.Errorf("%s imports %s, which stays in %v: %s", relative, imported, vendor.rooms, vendor.reason)
			}
		}
	}
}

// The domain decides; the clock and the dice are its callers'.
func TestDomainIsPure(t *testing.T) {
	t.Parallel()
	banned := map[string]string{
		"os": "no files", "net": "no network", "net/http": "no network", "math/rand": "no randomness", "math/rand/v2": "no randomness",
		"crypto/rand": "no randomness", "context": "nothing waits", "database/sql": "no storage", "io/fs": "no files", "log/slog": "no logs",
	}
	err := filepath.WalkDir(filepath.Join("..", "..", "domain"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			if reason, bad := banned[strings.Trim(spec.Path.Value, `"`)]; bad {
				t.Errorf("%s imports %s: %s", path, spec.Path.Value, reason)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
