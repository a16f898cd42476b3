package maintenance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/nativegit"
)

// scratch is the repository that one job works in.
type scratch struct {
	*nativegit.Scratch
	config *Config
}

const scratchConfig = `[pack]
	windowMemory = 256m
	deltaCacheSize = 64m
	writeReverseIndex = true
	writeBitmapHashCache = true
`

func (m *Maintainer) newScratch() (*scratch, error) {
	made, err := nativegit.NewScratch(m.config.Dir, scratchConfig)
	if err != nil {
		return nil, err
	}
	s := &scratch{made, &m.config}
	if err := os.Mkdir(s.out(), 0o700); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// out is the folder that new packs are written to.
func (s *scratch) out() string { return filepath.Join(s.Dir, "out") }

// writeRefs makes refs, which come sorted by name and, except those of keep, are none of
// them below refs/keep/.
func (s *scratch) writeRefs(refs []git.Ref) error {
	f, err := os.Create(filepath.Join(s.Dir, "packed-refs"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, _ = w.WriteString("# pack-refs with: sorted \n")
	for _, ref := range refs {
		_, _ = fmt.Fprintf(w, "%s %s\n", ref.ID, ref.Name) // the writer keeps its error
	}
	return errors.Join(w.Flush(), f.Close())
}

// git runs native git in the scratch repository and returns what it prints.
func (s *scratch) git(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	git := nativegit.Runner{Program: s.config.Git, Timeout: s.config.Timeout, Memory: s.config.Memory, Output: 1 << 30, Patient: true}
	out, err := git.Run(ctx, s.Dir, stdin, args...)
	return out.Text, err
}
