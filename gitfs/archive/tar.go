package archive

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/annal-git/annal/domain/git"
)

// Sizes of a tar file, in bytes.
const (
	tarRecord = 512
	tarBlock  = 20 * tarRecord
	tarName   = 100
	tarPrefix = 155
	tarMax    = 0o77777777777 // of a size or time in a header
	tarUmask  = 0o002
)

// tarWriter writes ustar with pax headers exactly as Git does, so that the sums that
// people publish of archives hold whoever makes them.
type tarWriter struct {
	w       io.Writer
	when    int64
	written int64
	pad     [tarBlock]byte // zeros
	err     error
}

func newTar(w io.Writer, commit git.ObjectID, when time.Time) *tarWriter {
	t := &tarWriter{w: w, when: max(when.Unix(), 0)}
	var pax string
	if !commit.IsZero() {
		pax = paxRecord("comment", commit.String())
	}
	if t.when > tarMax {
		pax += paxRecord("mtime", fmt.Sprint(t.when))
		t.when = tarMax
	}
	if pax != "" {
		t.err = t.record(tarHeader{name: "pax_global_header", mode: 0o666, size: int64(len(pax)), kind: 'g'}, strings.NewReader(pax))
	}
	return t
}

type tarHeader struct {
	name, prefix, link string
	mode               int64
	size               int64
	kind               byte
}

func (t *tarWriter) record(h tarHeader, content io.Reader) error {
	var b [tarRecord]byte
	copy(b[0:], h.name)
	copy(b[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00", h.mode, 0, 0, h.size, t.when))
	copy(b[148:], "        ") // the sum counts itself as spaces
	b[156] = h.kind
	copy(b[157:], h.link)
	copy(b[257:], "ustar\x0000")
	copy(b[265:], "root")
	copy(b[297:], "root")
	copy(b[329:], "0000000\x000000000\x00")
	copy(b[345:], h.prefix)
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%07o\x00", sum))
	if err := t.emit(b[:]); err != nil {
		return err
	}
	if content == nil {
		return nil
	}
	n, err := io.Copy(t.w, content)
	t.written += n
	if err != nil {
		return err
	}
	return t.emit(t.pad[:(tarRecord-n%tarRecord)%tarRecord])
}

func (t *tarWriter) emit(b []byte) error {
	n, err := t.w.Write(b)
	t.written += int64(n)
	return err
}

func (t *tarWriter) write(e entry) error {
	if t.err != nil {
		return t.err
	}
	h := tarHeader{name: e.name, mode: int64(e.mode)}
	var pax string
	content := e.content
	switch {
	case e.mode.IsTree() || e.mode.IsGitlink():
		h.kind, h.mode = '5', 0o777&^tarUmask
	case e.mode.IsSymlink():
		h.kind, h.mode = '2', 0o777
		target, err := io.ReadAll(e.content)
		if err != nil {
			return err
		}
		content = nil
		if h.link = string(target); len(h.link) > tarName {
			pax = paxRecord("linkpath", h.link)
			h.link = "see " + e.id.String() + ".paxheader"
		}
	default:
		h.kind, h.size = '0', e.size
		h.mode = 0o666
		if e.mode&0o100 != 0 {
			h.mode = 0o777
		}
		h.mode = (h.mode | int64(e.mode)&0o7777) &^ tarUmask
	}
	if len(e.name) > tarName {
		cut := prefixLength(e.name)
		if rest := len(e.name) - cut - 1; cut > 0 && rest <= tarName {
			h.prefix, h.name = e.name[:cut], e.name[cut+1:]
		} else {
			h.name = e.id.String() + ".data"
			pax = paxRecord("path", e.name) + pax
		}
	}
	if h.size > tarMax {
		pax += paxRecord("size", fmt.Sprint(h.size))
		h.size = 0
	}
	if pax != "" {
		x := tarHeader{name: e.id.String() + ".paxheader", mode: 0o666, size: int64(len(pax)), kind: 'x'}
		if err := t.record(x, strings.NewReader(pax)); err != nil {
			return err
		}
	}
	return t.record(h, content)
}

// prefixLength is where a long name is parted in two, at a slash.
func prefixLength(name string) int {
	i := len(name)
	if i > 1 && name[i-1] == '/' {
		i--
	}
	i = min(i, tarPrefix)
	for i--; i > 0 && name[i] != '/'; i-- {
	}
	return i
}

// paxRecord writes "length key=value", where the length counts itself.
func paxRecord(key, value string) string {
	rest := len(" ") + len(key) + len("=") + len(value) + len("\n")
	n := rest + 1
	for len(fmt.Sprint(n))+rest > n {
		n++
	}
	return fmt.Sprintf("%d %s=%s\n", n, key, value)
}

func (t *tarWriter) close() error {
	if t.err != nil {
		return t.err
	}
	tail := tarBlock - t.written%tarBlock
	if err := t.emit(t.pad[:tail]); err != nil {
		return err
	}
	if tail < 2*tarRecord {
		return t.emit(t.pad[:])
	}
	return nil
}
