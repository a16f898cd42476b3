package archive

import (
	"archive/zip"
	"io"
	"io/fs"
	"time"

	"github.com/klauspost/compress/flate"
)

// zipWriter writes zip files whose comment is the commit's id, as Git's is.
type zipWriter struct {
	zip  *zip.Writer
	when time.Time
}

func newZip(w io.Writer, r Request) *zipWriter {
	z := &zipWriter{zip: zip.NewWriter(w), when: r.Time}
	level := r.Level
	if level == 0 {
		level = flate.DefaultCompression
	}
	z.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, level) })
	if !r.Commit.IsZero() {
		_ = z.zip.SetComment(r.Commit.String()) // it is not too long
	}
	return z
}

func (z *zipWriter) write(e entry) error {
	header := &zip.FileHeader{Name: e.name, Modified: z.when, Method: zip.Store}
	switch {
	case e.mode.IsTree() || e.mode.IsGitlink():
		header.SetMode(fs.ModeDir | 0o755)
	case e.mode.IsSymlink():
		header.SetMode(fs.ModeSymlink | 0o777)
	default:
		mode := fs.FileMode(0o644)
		if e.mode&0o100 != 0 {
			mode = 0o755
		}
		header.SetMode(mode)
		if e.size > 0 {
			header.Method = zip.Deflate
		}
	}
	w, err := z.zip.CreateHeader(header)
	if err != nil || e.content == nil {
		return err
	}
	_, err = io.Copy(w, e.content)
	return err
}

func (z *zipWriter) close() error { return z.zip.Close() }
