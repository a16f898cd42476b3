package annotate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/annotate"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// Git reads the tag that was made, whatever the tagger is called.
func TestMake(t *testing.T) {
	native := gitfstest.NewRepository(t, 3)
	main := git.MustParseObjectID(gitfstest.Git(t, native, "rev-parse", "main"))
	config := store.Config{SharedHome: t.TempDir(), LocalHome: t.TempDir()}
	base := gitfstest.Install(t, config.SharedHome, gitfstest.Storage, gitfstest.PackFile(t, native))
	s, err := store.Open(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	snapshot := &gitfs.Snapshot{Storage: gitfstest.Storage, Packs: []git.Pack{base}}
	tag := annotate.Tag{
		Name: "v9", Target: main, TargetType: object.TypeCommit, TaggerName: "Eve <x>\n", TaggerEmail: "eve@example.com",
		When: time.Unix(1_700_000_000, 0), Message: "A release\n\nwith news\n\n",
	}
	id, info, err := annotate.New(s).Make(t.Context(), snapshot, tag)
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Objects)

	made := s.PackPath(gitfstest.Storage, info.ID, "pack")
	content, err := os.ReadFile(made)
	require.NoError(t, err)
	copied := filepath.Join(native, "objects", "pack", filepath.Base(made))
	require.NoError(t, os.WriteFile(copied, content, 0o600))
	gitfstest.Git(t, native, "index-pack", "--strict", copied)
	gitfstest.Git(t, native, "update-ref", "refs/tags/v9", id.String())
	gitfstest.Git(t, native, "fsck", "--full", "--strict")
	require.Equal(t, "Eve x eve@example.com A release with news", strings.Join(strings.Fields(
		gitfstest.Git(t, native, "for-each-ref", "--format=%(taggername) %(taggeremail:trim) %(contents)", "refs/tags/v9")), " "))

	var invalid *domain.InvalidError
	for _, message := range []string{"a\x00b", strings.Repeat("x", 65<<10)} {
		tag.Message = message
		_, _, err := annotate.New(s).Make(t.Context(), snapshot, tag)
		require.True(t, errors.As(err, &invalid), "%v", err)
	}
}
