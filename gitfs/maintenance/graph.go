package maintenance

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/annal-git/annal/gitfs/pack"
)

// writeGraph puts beside the pack of everything that refs reach a commit-graph with the paths
// that each commit changes, if the pack is large enough for one to be read.
func (s *scratch) writeGraph(ctx context.Context, made []string) error {
	if len(made) != 1 {
		return nil
	}
	base := strings.TrimSuffix(made[0], ".pack")
	content, err := os.ReadFile(base + ".idx")
	if err != nil {
		return err
	}
	index, err := pack.ParseIndex(content, nil)
	if err != nil || !s.config.Store.HasGraph(int64(index.Len())) {
		return err
	}
	if _, err := s.git(ctx, nil, "commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"); err != nil {
		return err
	}
	if _, err := s.git(ctx, nil, "commit-graph", "verify", "--no-progress"); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(s.Dir, "objects", "info", "commit-graph"), base+".graph")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there are no commits
	}
	return err
}
