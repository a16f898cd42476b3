package localpostgres

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// minimumMajor is the oldest PostgreSQL that Annal is tested with.
const minimumMajor = 15

// BinariesError says that no usable PostgreSQL programs were found, and what to do.
type BinariesError struct{ Reason string }

func (e *BinariesError) Error() string {
	return e.Reason + "; install PostgreSQL (Debian and Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server) " +
		"or point Annal at a running server with --database-url postgres://user:password@host/annal"
}

// binaries finds a folder with initdb and postgres. major pins the version (a data
// folder works with one major version only); 0 takes the newest. What is
// installed comes first, then what was downloaded earlier, then a download into
// cache.
func binaries(ctx context.Context, cache string, major int, log *slog.Logger) (string, error) {
	var found []installation
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian and its relatives
	more, _ := filepath.Glob("/usr/pgsql-*/bin")                // PGDG on Fedora and its relatives
	candidates = append(candidates, more...)
	for _, name := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.EvalSymlinks(path); err == nil {
				candidates = append(candidates, filepath.Dir(path))
			}
		}
	}
	candidates = append(candidates, filepath.Join(cache, "bin"))
	for _, dir := range candidates {
		if version, ok := majorVersion(ctx, dir); ok && version >= minimumMajor && (major == 0 || version == major) {
			found = append(found, installation{dir, version})
		}
	}
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b installation) int { return a.major - b.major })
		return newest.dir, nil
	}
	if major != 0 && major != downloadMajor {
		return "", &BinariesError{fmt.Sprintf("the data folder was made by PostgreSQL %d, whose programs are not on this machine", major)}
	}
	log.Info("no PostgreSQL on this machine, downloading a build", "version", downloadVersion)
	if err := download(ctx, cache); err != nil {
		return "", &BinariesError{fmt.Sprintf("no PostgreSQL %d or newer on this machine, and the download failed (%v)", minimumMajor, err)}
	}
	return filepath.Join(cache, "bin"), nil
}

type installation struct {
	dir   string
	major int
}

func majorVersion(ctx context.Context, dir string) (int, bool) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0, false
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.18 (Debian ...)
	if len(fields) < 3 {
		return 0, false
	}
	text, _, _ := strings.Cut(fields[2], ".")
	major, err := strconv.Atoi(text)
	return major, err == nil
}
