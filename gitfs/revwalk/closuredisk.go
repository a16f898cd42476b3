package revwalk

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/objectset"
)

// Answers for which everything had to be walked through are kept in files of the local home
// as well, so that a node which starts again need not do that once more. They may be lost at
// any time: what cannot be read or written is done without.

// Bounds of the files.
const (
	keptOf      = 2         // files of one repository
	keptObjects = 1 << 13   // with fewer, the walk takes no longer than reading a file
	keptFile    = 64 << 20  // bytes of one file
	keptBytes   = 256 << 20 // of all that are left when a process starts
	keptMagic   = "annal closure 1\n"
)

// dirOf is where the files of a repository lie; "" if its name is none for a folder.
func (c *Closures) dirOf(storage string) string {
	if c.dir == "" || storage == "" || !filepath.IsLocal(storage) || filepath.Base(storage) != storage {
		return ""
	}
	return filepath.Join(c.dir, storage)
}

// keep writes an answer to a file, instead of the oldest of the repository.
func (c *Closures) keep(known *closure) {
	dir := c.dirOf(known.storage)
	if dir == "" || known.set.Len() < keptObjects || known.bytes > keptFile || os.MkdirAll(dir, 0o700) != nil {
		return
	}
	c.disk.Lock()
	defer c.disk.Unlock()
	if files := filesIn(dir); len(files) >= keptOf {
		for _, f := range files[keptOf-1:] {
			_ = os.Remove(f.path)
		}
	}
	file, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return
	}
	_, err = file.Write(known.encode())
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, git.ObjectID(known.key[:20]).String()))
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
}

// recall reads what earlier processes have left of a repository, once.
func (c *Closures) recall(storage string) {
	dir := c.dirOf(storage)
	if dir == "" {
		return
	}
	c.mu.Lock()
	_, again := c.recalled[storage]
	if !again {
		if len(c.recalled) >= maxRecalled {
			clear(c.recalled)
		}
		c.recalled[storage] = struct{}{}
	}
	c.mu.Unlock()
	if again {
		return
	}
	c.disk.Lock()
	defer c.disk.Unlock()
	for _, f := range filesIn(dir) {
		known, ok := (*closure)(nil), false
		if f.size <= keptFile {
			if content, err := os.ReadFile(f.path); err == nil {
				known, ok = decodeClosure(content, storage)
			}
		}
		if !ok {
			_ = os.Remove(f.path)
			continue
		}
		c.remember(known)
	}
}

// maxRecalled is how many repositories are known to have been recalled. To do that twice
// is no harm.
const maxRecalled = 1 << 16

type keptClosure struct {
	path string
	size int64
	time int64
}

// filesIn lists the files of a folder, the newest first.
func filesIn(dir string) (files []keptClosure) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			files = append(files, keptClosure{path, info.Size(), info.ModTime().UnixNano()})
		}
		return nil
	})
	slices.SortFunc(files, func(a, b keptClosure) int { return cmp.Compare(b.time, a.time) })
	return files
}

// trim removes the oldest files that earlier processes have left, where there are too many.
func trim(dir string) {
	left := int64(keptBytes)
	for _, f := range filesIn(dir) {
		if left -= f.size; left < 0 || filepath.Base(f.path)[0] == '.' {
			_ = os.Remove(f.path)
		}
	}
}

// encode writes an answer down: tips, what they reach, the files among that, and a checksum.
func (known *closure) encode() []byte {
	b := append(make([]byte, 0, known.bytes+1024), keptMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(known.tips)))
	for _, id := range known.tips {
		b = append(b, id[:]...)
	}
	b = known.blobs.Append(known.set.Append(b))
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func decodeClosure(b []byte, storage string) (*closure, bool) {
	end := len(b) - sha256.Size
	if end < len(keptMagic)+4 {
		return nil, false
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, false
	}
	b, ok := bytes.CutPrefix(b[:end], []byte(keptMagic))
	if !ok {
		return nil, false
	}
	count := int(binary.BigEndian.Uint32(b))
	b = b[4:]
	if len(b)/len(git.ZeroID) < count {
		return nil, false
	}
	tips := make([]git.ObjectID, count)
	for i := range tips {
		b = b[copy(tips[i][:], b):]
	}
	set, b, ok := objectset.Parse(b)
	if !ok {
		return nil, false
	}
	blobs, b, ok := objectset.Parse(b)
	if !ok || len(b) > 0 {
		return nil, false
	}
	return newClosure(storage, tips, set, blobs), true
}
