package archive_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	*archive.Archiver
	t        testing.TB
	dir      string
	snapshot *gitfs.Snapshot
	objects  *store.Objects
}

func open(t testing.TB, repository string) fixture {
	t.Helper()
	s, config := gitfstest.NewStore(t)
	snapshot, err := gitfstest.Serve(t, config, repository).Snapshot(t.Context())
	require.NoError(t, err)
	return fixture{archive.NewArchiver(s), t, repository, snapshot, gitfstest.Pin(t, s, snapshot.Packs...)}
}

func (f fixture) id(rev string) git.ObjectID {
	f.t.Helper()
	return git.MustParseObjectID(gitfstest.Git(f.t, f.dir, "rev-parse", rev))
}

func (f fixture) make(r archive.Request) []byte {
	f.t.Helper()
	prepared, err := f.Prepare(f.t.Context(), f.snapshot, r)
	require.NoError(f.t, err)
	defer prepared.Close()
	var out bytes.Buffer
	require.NoError(f.t, prepared.Write(f.t.Context(), &out))
	return out.Bytes()
}

// repository has everything that git archive treats in a way of its own.
func repository(t testing.TB) string {
	t.Helper()
	work := filepath.Join(t.TempDir(), "work")
	gitfstest.Git(t, "", "init", "--quiet", "--initial-branch=main", work)
	long := strings.Repeat("long-name-", 9)
	for name, content := range map[string]string{
		".gitattributes": "*.ign export-ignore\n/gone/ export-ignore\nempty-after/* export-ignore\n*.sub export-subst\n*.crlf text eol=crlf\nid.txt ident\nauto.* text=auto eol=crlf\nplain eol=crlf -text\n[attr]hide export-ignore\n",
		"a.ign":          "ignored", "gone/x": "ignored", "empty-after/x": "ignored", "keep/x.ign": "i", "keep/y": "kept",
		"v.sub":    "a $Format:%H %h %T %t %P %p|%an %ae %al %ad %aD %at %ai %as|%cn %ce %cd %ct %ci|%s|%f|%b|%B|%e|%n%%%x41|%d|%D|%q$ b $Format:$ $Format:open\n",
		"x.crlf":   "a\nb\r\nc\n",
		"auto.txt": "a\nb\n", "auto.bin": "a\nb\x00\n", "auto.mix": "a\r\nb\n", "plain": "a\nb\n",
		"id.txt":             "x $Id$ y $Id: old $ z $Id: not closed\n$Id: a b c $ $Ident$\n",
		"sub/.gitattributes": "x.ign -export-ignore\ny.ign !export-ignore\nz hide\n",
		"sub/x.ign":          "back", "sub/y.ign": "back?", "sub/z": "hidden by a macro",
		"empty":                 "",
		long + "/" + long + "1": "deep", long + "/" + long + "/" + long + "2": "deeper", strings.Repeat("n", 150): "no slash",
		"Größe/ümlaut.txt": "utf-8",
	} {
		path := filepath.Join(work, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	}
	require.NoError(t, os.WriteFile(filepath.Join(work, "run.sh"), []byte("#!/bin/sh\n"), 0o777))
	require.NoError(t, os.Symlink("keep/y", filepath.Join(work, "link")))
	require.NoError(t, os.Symlink(strings.Repeat("t/", 60)+"t", filepath.Join(work, "far")))
	gitfstest.Git(t, work, "-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "add", "-A")
	gitfstest.Git(t, work, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",module")
	gitfstest.Git(t, work, "commit", "-q", "-m", "A subject: with..dots\nand a second line\n\nThe body\n\nhas two paragraphs.")
	gitfstest.Git(t, work, "commit", "-q", "--allow-empty", "-m", "Second -- one!")
	gitfstest.Git(t, work, "tag", "light")
	gitfstest.Git(t, work, "tag", "-a", "v1", "-m", "one")
	gitfstest.Git(t, work, "branch", "side")
	bare := filepath.Join(t.TempDir(), "bare.git")
	gitfstest.Git(t, "", "clone", "--quiet", "--mirror", work, bare)
	return bare
}

// native is what git archive makes.
func native(f fixture, args ...string) []byte {
	f.t.Helper()
	out, err := gitfstest.TryGit(f.t, f.dir, nil, append([]string{"archive"}, args...)...)
	require.NoError(f.t, err, out)
	return []byte(out)
}

func TestTarIsGits(t *testing.T) {
	f := open(t, repository(t))
	for _, c := range []struct {
		name string
		rev  string
		r    archive.Request
		args []string
	}{
		{"whole", "main", archive.Request{}, nil},
		{"first commit", "main~1", archive.Request{}, nil},
		{"prefix", "main", archive.Request{Prefix: "some/where/"}, []string{"--prefix=some/where/"}},
		{"prefix without slash", "main", archive.Request{Prefix: "pre-"}, []string{"--prefix=pre-"}},
		{"paths", "main", archive.Request{Paths: []string{"keep", "link", "sub/x.ign"}}, []string{"main", "keep", "link", "sub/x.ign"}},
		{"folder with slash", "main", archive.Request{Paths: []string{"sub/"}}, []string{"main", "sub/"}},
		{"wildcards", "main", archive.Request{Paths: []string{"*.ign", "k*y"}}, []string{"main", "*.ign", "k*y"}},
		{"nothing is left", "main", archive.Request{Paths: []string{"gone"}}, []string{"main", "gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Format, c.r.Commit = archive.Tar, f.id(c.rev)
			args := append([]string{"--format=tar"}, c.args...)
			if len(c.r.Paths) == 0 {
				args = append(args, c.rev)
			}
			want, have := native(f, args...), f.make(c.r)
			if !bytes.Equal(want, have) {
				at := 0
				for at < min(len(want), len(have)) && want[at] == have[at] {
					at++
				}
				t.Errorf("%d bytes, git has %d, different from %d on: %q, git has %q", len(have), len(want), at, have[max(0, at-50):min(at+50, len(have))], want[max(0, at-50):min(at+50, len(want))])
			}
			c.r.Format = archive.TarGz
			packed, err := gzip.NewReader(bytes.NewReader(f.make(c.r)))
			require.NoError(t, err)
			unpacked, err := io.ReadAll(packed)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, unpacked))
		})
	}
}

// The zip holds what git's holds: names, modes and content.
func TestZipHoldsWhatGitsDoes(t *testing.T) {
	f := open(t, repository(t))
	list := func(data []byte) (lines []string) {
		t.Helper()
		r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		require.NoError(t, err)
		require.Equal(t, f.id("main").String(), r.Comment)
		for _, file := range r.File {
			content, err := file.Open()
			require.NoError(t, err)
			text, err := io.ReadAll(content)
			require.NoError(t, err)
			kind := file.Mode().Type().String()
			lines = append(lines, fmt.Sprintf("%s %s %t %q %d", file.Name, kind, file.Mode()&0o100 != 0 || file.Mode().IsDir() || kind[0] == 'L', text, file.Modified.Unix()))
		}
		return lines
	}
	want := list(native(f, "--format=zip", "--prefix=p/", "main"))
	have := list(f.make(archive.Request{Format: archive.Zip, Prefix: "p/", Commit: f.id("main")}))
	require.Equal(t, len(want), len(have))
	for i := range want {
		require.Equal(t, want[i], have[i])
	}
}

func TestRealHistory(t *testing.T) {
	f := open(t, gitfstest.Bundle(t, "go-git.bundle"))
	require.True(t, bytes.Equal(native(f, "--format=tar", "HEAD"), f.make(archive.Request{Format: archive.Tar, Commit: f.id("HEAD")})))
}

func TestRefusals(t *testing.T) {
	f := open(t, repository(t))
	var missing *domain.NotFoundError
	var invalid *domain.InvalidError
	for _, path := range []string{"nothing", "keep/y/z", "*.none", "gon"} {
		_, err := f.Prepare(t.Context(), f.snapshot, archive.Request{Format: archive.Tar, Commit: f.id("main"), Paths: []string{path}})
		require.ErrorAs(t, err, &missing, path)
		require.Equal(t, "path", missing.What)
	}
	for _, path := range []string{":(glob)x", "../x", "/etc/passwd", "a//b", "a/../b", ":!x"} {
		_, err := f.Prepare(t.Context(), f.snapshot, archive.Request{Format: archive.Tar, Commit: f.id("main"), Paths: []string{path}})
		require.ErrorAs(t, err, &invalid, path)
	}
	_, err := f.Prepare(t.Context(), f.snapshot, archive.Request{Format: archive.Tar, Commit: f.id("main^{tree}")})
	require.ErrorAs(t, err, &missing)
	// One whose reader has gone ends.
	ctx, cancel := context.WithCancel(t.Context())
	prepared, err := f.Prepare(ctx, f.snapshot, archive.Request{Format: archive.Zip, Commit: f.id("main")})
	require.NoError(t, err)
	defer prepared.Close()
	cancel()
	require.ErrorIs(t, prepared.Write(ctx, io.Discard), context.Canceled)
	broken := errors.New("broken")
	prepared, err = f.Prepare(t.Context(), f.snapshot, archive.Request{Format: archive.Tar, Commit: f.id("main")})
	require.NoError(t, err)
	defer prepared.Close()
	require.ErrorIs(t, prepared.Write(t.Context(), failing{broken}), broken)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// request is the arguments as git archive --remote sends them.
func request(arguments ...string) []byte {
	var b bytes.Buffer
	lines := pktline.NewWriter(&b)
	for _, argument := range arguments {
		_ = lines.Printf("argument %s\n", argument)
	}
	_ = lines.Flush()
	return b.Bytes()
}

// bands parts an answer; its first line is apart.
func bands(t testing.TB, answer []byte) (first string, data, errors string) {
	t.Helper()
	in := pktline.NewReader(bytes.NewReader(answer))
	p, err := in.Next()
	require.NoError(t, err)
	first = p.Text()
	for {
		p, err := in.Next()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return first, data, errors
		}
		switch {
		case p.Kind != pktline.Data || len(p.Payload) == 0:
		case p.Payload[0] == 1:
			data += string(p.Payload[1:])
		default:
			errors += string(p.Payload[1:])
		}
	}
}

// What git upload-archive answers, we answer.
func TestUploadArchive(t *testing.T) {
	f := open(t, repository(t))
	for _, arguments := range [][]string{
		{"main"}, {"HEAD"}, {"v1"}, {"refs/heads/side", "keep"}, {"--format=tar", "--prefix=x/", "light"}, {"--format", "tar", "--prefix", "x/", "light", "--", "keep"},
		{"main:sub"}, {"main:sub/"}, {"--list"},
		{"nothing"}, {"main~1"}, {"main", "no-such-path"}, {"--format=rar", "main"}, {"--output=/tmp/x", "main"}, {"--exec=touch x", "main"}, {}, {"main:none"}, {"--remote=x", "main"},
		{gitfstest.Git(t, f.dir, "rev-parse", "main")},
	} {
		input := request(arguments...)
		command := exec.CommandContext(t.Context(), "git", "upload-archive", f.dir)
		command.Stdin, command.Env = bytes.NewReader(input), []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent"}
		want, _ := command.Output() // ends with an error if it refuses
		var out bytes.Buffer
		err := f.Serve(t.Context(), bytes.NewReader(input), &out, f.snapshot, f.objects)
		firstWant, dataWant, errorsWant := bands(t, want)
		first, data, errors := bands(t, out.Bytes())
		require.Equal(t, firstWant, first, "%q", arguments)
		if strings.HasPrefix(strings.Join(arguments, " "), "main:sub") { // the time is that of now
			require.Equal(t, len(dataWant), len(data), "%q", arguments)
		} else {
			require.True(t, dataWant == data, "%q", arguments)
		}
		require.Equal(t, errorsWant != "", errors != "", "%q: git says %q, we %q", arguments, errorsWant, errors)
		require.Equal(t, errorsWant != "", err != nil, "%q", arguments)
	}
}

func FuzzServe(f *testing.F) {
	x := open(f, repository(f))
	for _, seed := range [][]string{{"main"}, {"--format=zip", "--prefix=a/b", "v1", "*.sub"}, {"-l"}, {"main:sub", "--", "x"}, {"-9", "--format=tgz", "HEAD"}} {
		f.Add(request(seed...))
	}
	f.Add([]byte("0000"))
	f.Add([]byte("0005x"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var out bytes.Buffer
		_ = x.Serve(t.Context(), bytes.NewReader(input), &out, x.snapshot, x.objects)
		bands(t, out.Bytes())
	})
}
