package packcache_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/pktline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// pack is bytes that look like a pack: a header, something and a checksum.
func pack(seed byte, size int) []byte {
	p := append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00"), seed)
	for len(p) < size {
		p = append(p, seed+byte(len(p)*7))
	}
	sum := sha1.Sum(p)
	return append(p, sum[:]...)
}

// begin makes a pack in pieces. made counts how often.
func begin(content []byte, made *atomic.Int64) func() packcache.Make {
	return func() packcache.Make {
		return func(ctx context.Context, w io.Writer, counted func(int)) error {
			made.Add(1)
			counted(int(content[11]))
			for rest := content; len(rest) > 0; {
				n := min(len(rest), 10_000)
				if _, err := w.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return ctx.Err()
		}
	}
}

// read reads a pack to its end and takes it out of its packets.
func read(ctx context.Context, r *packcache.Reader, again packcache.Make) ([]byte, error) {
	var packets bytes.Buffer
	for {
		n, done, err := r.Wait(ctx, patience)
		if errors.Is(err, packcache.ErrNoRoom) {
			if err := r.Resume(ctx, &packets, again); err != nil {
				return nil, err
			}
			done = true
		} else if err != nil {
			return nil, err
		}
		if done {
			return unpacked(&packets)
		}
		if err := r.Copy(&packets, n); err != nil {
			return nil, err
		}
	}
}

func unpacked(packets io.Reader) ([]byte, error) {
	var content []byte
	lines := pktline.NewReader(packets)
	for {
		p, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return content, nil
		}
		if err != nil {
			return nil, err
		}
		if p.Kind != pktline.Data || p.Payload[0] != 1 {
			return nil, fmt.Errorf("packet %q", p.Payload)
		}
		content = append(content, p.Payload[1:]...)
	}
}

func open(t testing.TB, config packcache.Config) *packcache.Cache {
	t.Helper()
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	c, err := packcache.Open(config)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// get follows an entry to its end.
func get(t testing.TB, c *packcache.Cache, key byte, storage string, content []byte, made *atomic.Int64) {
	t.Helper()
	r := c.Follow(packcache.Key{key}, storage, begin(content, made))
	require.NotNil(t, r)
	defer r.Close()
	got, err := read(t.Context(), r, begin(content, made)())
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	objects, err := r.Objects(t.Context(), patience)
	require.NoError(t, err)
	require.Equal(t, int(content[11]), objects)
	size, whole := r.Size()
	require.True(t, whole)
	require.Greater(t, size, int64(len(content)))
}

func TestMadeOnce(t *testing.T) {
	for _, size := range []int{0, 1000, 255 << 10, 257 << 10, 3 << 20} {
		c := open(t, packcache.Config{})
		var made atomic.Int64
		for range 3 {
			get(t, c, 1, "one", pack(1, size), &made)
		}
		require.EqualValues(t, 1, made.Load())
		require.EqualValues(t, 2, c.Stats().Hits)
		require.EqualValues(t, 1, c.Stats().Misses)
	}
}

// Whoever comes while a pack is made follows it, and the maker goes on though the first to
// ask and a slow reader are gone.
func TestFollowers(t *testing.T) {
	c := open(t, packcache.Config{})
	content, step := pack(7, 2<<20), make(chan struct{})
	slowly := func() packcache.Make {
		return func(ctx context.Context, w io.Writer, counted func(int)) error {
			counted(7)
			for rest := content; len(rest) > 0; rest = rest[min(len(rest), 300_000):] {
				select {
				case <-step:
				case <-ctx.Done():
					return ctx.Err()
				}
				if _, err := w.Write(rest[:min(len(rest), 300_000)]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	first := c.Follow(packcache.Key{1}, "one", slowly)
	step <- struct{}{}
	n, done, err := first.Wait(t.Context(), patience)
	require.NoError(t, err)
	require.False(t, done)
	require.NoError(t, first.Copy(io.Discard, n))
	slow := c.Follow(packcache.Key{1}, "one", slowly)
	defer slow.Close()
	var following sync.WaitGroup
	for range 4 {
		r := c.Follow(packcache.Key{1}, "one", slowly)
		following.Go(func() {
			defer r.Close()
			if got, err := read(t.Context(), r, nil); err != nil || !bytes.Equal(got, content) {
				t.Errorf("a follower got %d bytes, %v", len(got), err)
			}
		})
	}
	first.Close()
	close(step)
	following.Wait()
	got, err := read(t.Context(), slow, nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(got, content))
	require.EqualValues(t, 1, c.Stats().Misses)
}

// Nothing is made for nobody.
func TestAbandoned(t *testing.T) {
	c := open(t, packcache.Config{})
	stopped := make(chan struct{})
	r := c.Follow(packcache.Key{1}, "one", func() packcache.Make {
		return func(ctx context.Context, w io.Writer, _ func(int)) error {
			defer close(stopped)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	n, done, err := r.Wait(t.Context(), time.Millisecond)
	require.NoError(t, err)
	require.False(t, done)
	require.Zero(t, n)
	r.Close()
	var made atomic.Int64
	get(t, c, 1, "one", pack(1, 100), &made) // by a maker of its own
	require.EqualValues(t, 1, made.Load())
	<-stopped
}

func TestErrorsReachFollowers(t *testing.T) {
	c := open(t, packcache.Config{})
	broken := errors.New("broken")
	fail, made := make(chan struct{}), atomic.Int64{}
	r := c.Follow(packcache.Key{1}, "one", func() packcache.Make {
		return func(_ context.Context, w io.Writer, _ func(int)) error {
			_, err := w.Write(bytes.Repeat([]byte("x"), 400_000))
			<-fail
			return errors.Join(err, broken)
		}
	})
	defer r.Close()
	close(fail)
	_, err := read(t.Context(), r, nil)
	require.ErrorIs(t, err, broken)
	_, err = r.Objects(t.Context(), patience)
	require.ErrorIs(t, err, broken)
	get(t, c, 1, "one", pack(1, 100), &made) // it is tried again
}

func TestAfterRestart(t *testing.T) {
	dir := t.TempDir()
	content, made := pack(3, 1<<20), atomic.Int64{}
	c, err := packcache.Open(packcache.Config{Dir: dir})
	require.NoError(t, err)
	get(t, c, 1, "one", content, &made)
	get(t, c, 2, "one", content, &made)
	c.Close()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "making", "7"), []byte("half"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "one", "stray"), []byte("?"), 0o600))

	again := open(t, packcache.Config{Dir: dir})
	require.EqualValues(t, 2, again.Stats().Entries)
	files, err := filepath.Glob(filepath.Join(dir, "one", "*"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	get(t, again, 1, "one", content, &made)
	require.EqualValues(t, 2, made.Load())
	require.NoFileExists(t, filepath.Join(dir, "making", "7"))

	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		data[len(data)/2]++
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}
	get(t, again, 2, "one", content, &made) // was not used since the restart: it is found out
	require.EqualValues(t, 3, made.Load())
}

func TestBounds(t *testing.T) {
	var made atomic.Int64
	c := open(t, packcache.Config{Bytes: 4 << 20, StorageBytes: 2 << 20, MemoryBytes: 100 << 10})
	for key := range byte(20) {
		get(t, c, key, fmt.Sprint("storage", key%2), pack(key, 500<<10), &made)
		get(t, c, 100+key, "small", pack(key, 20<<10), &made)
		s := c.Stats()
		require.LessOrEqual(t, s.FileBytes, int64(4<<20))
		require.LessOrEqual(t, s.MemoryBytes, int64(100<<10))
	}
	require.EqualValues(t, 40, made.Load())
	get(t, c, 19, "storage1", pack(19, 500<<10), &made)
	require.EqualValues(t, 40, made.Load(), "the last used are kept")
	for storage := range 2 {
		files, err := filepath.Glob(filepath.Join(c.Dir(), fmt.Sprint("storage", storage), "*"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(files), 4)
	}

	// One that does not fit at all is served, and not tried again.
	huge := pack(1, 3<<20)
	r := c.Follow(packcache.Key{200}, "one", begin(huge, &made))
	defer r.Close()
	got, err := read(t.Context(), r, begin(huge, &made)())
	require.NoError(t, err)
	require.True(t, bytes.Equal(got, huge))
	require.Nil(t, c.Follow(packcache.Key{200}, "one", begin(huge, &made)))
}

// Without a place to write, packs are served all the same.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	c := open(t, packcache.Config{Dir: dir})
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "making")))
	var made atomic.Int64
	content := pack(1, 1<<20)
	r := c.Follow(packcache.Key{1}, "one", begin(content, &made))
	defer r.Close()
	got, err := read(t.Context(), r, begin(content, &made)())
	require.NoError(t, err)
	require.True(t, bytes.Equal(got, content))
	require.Nil(t, c.Follow(packcache.Key{2}, "one", begin(content, &made)), "for a while nothing is kept")
}

// A file that is removed under the cache, or cut, is made again.
func TestFileRemoved(t *testing.T) {
	dir := t.TempDir()
	c := open(t, packcache.Config{Dir: dir})
	var made atomic.Int64
	get(t, c, 1, "one", pack(1, 1<<20), &made)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "one")))
	get(t, c, 1, "one", pack(1, 1<<20), &made)
	require.EqualValues(t, 2, made.Load())
	files, err := filepath.Glob(filepath.Join(dir, "one", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Truncate(files[0], 1<<19))
	get(t, c, 1, "one", pack(1, 1<<20), &made)
	require.EqualValues(t, 3, made.Load())
}

// Many readers of few entries in little room, some of whom leave early: everybody gets what
// he asked for.
func TestStorm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		config := packcache.Config{
			Dir: t.TempDir(), Bytes: rapid.Int64Range(1<<20, 4<<20).Draw(rt, "bytes"), MemoryBytes: rapid.Int64Range(1, 1<<20).Draw(rt, "memory"),
		}
		c, err := packcache.Open(config)
		require.NoError(rt, err)
		defer c.Close()
		var contents [6][]byte
		for i := range contents {
			contents[i] = pack(byte(i), rapid.SampledFrom([]int{10, 70_000, 250_000, 300_000, 700_000}).Draw(rt, "size"))
		}
		type client struct {
			key   int
			leave bool
		}
		clients := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) client {
			return client{rapid.IntRange(0, 5).Draw(rt, "key"), rapid.IntRange(0, 3).Draw(rt, "leave") == 0}
		}), 1, 24).Draw(rt, "clients")
		var reading sync.WaitGroup
		var made atomic.Int64
		for _, who := range clients {
			reading.Go(func() {
				content := contents[who.key]
				r := c.Follow(packcache.Key{byte(who.key)}, fmt.Sprint(who.key%2), begin(content, &made))
				if r == nil {
					return
				}
				defer r.Close()
				if who.leave {
					_, _, _ = r.Wait(t.Context(), time.Microsecond)
					return
				}
				if got, err := read(t.Context(), r, begin(content, &made)()); err != nil || !bytes.Equal(got, content) {
					t.Errorf("pack %d of %d bytes came as %d bytes, %v", who.key, len(content), len(got), err)
				}
			})
		}
		reading.Wait()
	})
}
