package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// Folder is the tree of one epoch on the shared home. It implements tlog.TileReader.
type Folder struct{ dir string }

// EpochFolder is the folder of an epoch below the one of the log.
func EpochFolder(logDir string, epoch int64) Folder {
	return Folder{filepath.Join(logDir, strconv.FormatInt(epoch, 10))}
}

// NewestEpoch is the newest epoch that has a checkpoint below the folder of the log, 0
// if none has.
func NewestEpoch(logDir string) (int64, error) {
	entries, err := os.ReadDir(logDir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	newest := int64(0)
	for _, e := range entries {
		epoch, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || epoch <= newest {
			continue
		}
		if _, err := os.Stat(filepath.Join(logDir, e.Name(), checkpointName)); err == nil {
			newest = epoch
		}
	}
	return newest, nil
}

const checkpointName = "checkpoint"

// maxFile is the largest file that is read, in bytes: more than the largest event.
const maxFile = 256 << 20

// Read reads a file below the folder. The error is fs.ErrNotExist if there is none.
func (f Folder) Read(path string) ([]byte, error) {
	file, err := os.Open(f.file(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, err
}

// Checkpoint reads the newest signed checkpoint. The error is fs.ErrNotExist if there is
// none.
func (f Folder) Checkpoint() (string, error) {
	signed, err := f.Read(checkpointName)
	return string(signed), err
}

// Tile reads the hashes of a tile. One that has grown since holds those of the one that
// was asked for.
func (f Folder) Tile(level int, index int64, width int) ([]tlog.Hash, error) {
	data, stored, err := f.readWide(func(w int) string { return TilePath(level, index, w) }, width)
	if err != nil {
		return nil, err
	}
	hashes, err := ParseTile(data, stored)
	if err != nil {
		return nil, err
	}
	return hashes[:width], nil
}

// Bundle reads the entries of a bundle, as Tile does.
func (f Folder) Bundle(index int64, width int) ([][]byte, error) {
	data, stored, err := f.readWide(func(w int) string { return BundlePath(index, w) }, width)
	if err != nil {
		return nil, err
	}
	entries, err := ParseBundle(data, stored)
	if err != nil {
		return nil, err
	}
	return entries[:width], nil
}

// readWide reads a file of a width, or if it has been tidied away, the narrowest one of
// those that begin with the same.
func (f Folder) readWide(path func(width int) string, width int) (data []byte, stored int, err error) {
	data, err = f.Read(path(width))
	if !errors.Is(err, fs.ErrNotExist) || width == TileWidth {
		return data, width, err
	}
	stored = TileWidth
	partial, _ := os.ReadDir(f.file(filepath.Dir(path(1)))) // there are none once the full one is written
	for _, e := range partial {
		if w, err := strconv.Atoi(e.Name()); err == nil && w > width && w < stored {
			stored = w
		}
	}
	data, err = f.Read(path(stored))
	if errors.Is(err, fs.ErrNotExist) && stored < TileWidth { // the full one has just been written
		stored = TileWidth
		data, err = f.Read(path(stored))
	}
	return data, stored, err
}

// Height implements tlog.TileReader.
func (f Folder) Height() int { return TileHeight }

// ReadTiles implements tlog.TileReader.
func (f Folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		hashes, err := f.Tile(t.L, t.N, t.W)
		if err != nil {
			return nil, err
		}
		data[i] = appendTile(nil, hashes)
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader.
func (f Folder) SaveTiles([]tlog.Tile, [][]byte) {}

// writer writes files into a folder so that each is whole or not there, and remembers
// which folders have to be synced before anybody may be told of them.
type writer struct {
	folder Folder
	dirty  map[string]bool
}

func (w *writer) write(path string, data []byte) error {
	file := w.folder.file(path)
	dir := filepath.Dir(file)
	if err := makeFolders(dir); err != nil {
		return err
	}
	temporary, err := writeTemporary(dir, data)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }() // fails once it is renamed
	if err := os.Rename(temporary, file); err != nil {
		return err
	}
	if w.dirty == nil {
		w.dirty = map[string]bool{}
	}
	w.dirty[dir] = true
	return nil
}

// sync makes what was written durable.
func (w *writer) sync() error {
	for dir := range w.dirty {
		if err := syncFolder(dir); err != nil {
			return err
		}
		delete(w.dirty, dir)
	}
	return nil
}

// makeFolders makes a folder and those above it, and syncs what names them.
func makeFolders(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolders(filepath.Dir(dir)); err != nil {
			return err
		}
		if err = os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// writeTemporary writes a file that only its owner reads and returns its name.
func writeTemporary(dir string, data []byte) (string, error) {
	file, err := os.CreateTemp(dir, ".new-") // with mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// tidy removes partial files that no checkpoint needs any more: those narrower than at
// the older of the two newest sizes, and those of tiles that it has full. oldest is the
// size before it. What cannot be removed stays.
func (f Folder) tidy(oldest, older int64) {
	for level := 0; older>>(TileHeight*level) > 0; level++ {
		edge := older >> (TileHeight * level)
		before := oldest >> (TileHeight * level) / TileWidth
		for _, path := range partials(level, before) {
			if before < edge/TileWidth {
				_ = os.RemoveAll(f.file(path))
			}
		}
		for _, path := range partials(level, edge/TileWidth) {
			f.removeNarrower(path, int(edge%TileWidth))
		}
	}
}

// partials are the folders of the partial tiles and bundles at an index.
func partials(level int, index int64) []string {
	paths := []string{filepath.Dir(TilePath(level, index, 1))}
	if level == 0 {
		paths = append(paths, filepath.Dir(BundlePath(index, 1)))
	}
	return paths
}

func (f Folder) removeNarrower(path string, width int) {
	entries, _ := os.ReadDir(f.file(path))
	for _, e := range entries {
		if w, err := strconv.Atoi(e.Name()); err == nil && w < width {
			_ = os.Remove(filepath.Join(f.file(path), e.Name()))
		}
	}
}

func (f Folder) file(path string) string { return filepath.Join(f.dir, filepath.FromSlash(path)) }
