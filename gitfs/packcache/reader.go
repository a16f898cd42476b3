package packcache

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/annal-git/annal/gitfs/pktline"
)

// Reader reads one entry, perhaps while it grows. It is used by one goroutine.
type Reader struct {
	entry  *entry
	offset int64
	whole  *os.File // of this reader alone, so that the kernel can copy from it
}

// Close ends the use of the entry.
func (r *Reader) Close() {
	if r.whole != nil {
		_ = r.whole.Close() // was only read
	}
	r.entry.leave()
}

// Size is how many bytes of packets there are, and whether these are all.
func (r *Reader) Size() (bytes int64, whole bool) {
	r.entry.mu.Lock()
	defer r.entry.mu.Unlock()
	return r.entry.size, r.entry.done
}

// Objects waits until the objects are counted, at most for a time. It returns -1 if that
// has passed.
func (r *Reader) Objects(ctx context.Context, atMost time.Duration) (int, error) {
	return wait(ctx, r.entry, atMost, func(e *entry) (int, bool) { return e.objects, e.objects >= 0 }, -1)
}

// Wait waits for packets behind those that were copied, at most for a time. It returns how
// many bytes can be copied now; 0 with done at the end, and without when time has passed.
func (r *Reader) Wait(ctx context.Context, atMost time.Duration) (bytes int64, done bool, err error) {
	n, err := wait(ctx, r.entry, atMost, func(e *entry) (int64, bool) { return e.size - r.offset, e.size > r.offset || e.done }, 0)
	if err != nil || n > 0 {
		return n, false, err
	}
	r.entry.mu.Lock()
	defer r.entry.mu.Unlock()
	return 0, r.entry.done && r.entry.size == r.offset, nil
}

// wait waits until look is content with the entry.
func wait[T any](ctx context.Context, e *entry, atMost time.Duration, look func(*entry) (T, bool), late T) (T, error) {
	var timer *time.Timer
	for {
		e.mu.Lock()
		value, ok := look(e)
		err, moved := e.err, e.moved
		e.mu.Unlock()
		if ok {
			return value, nil
		}
		if err != nil {
			return late, err
		}
		if timer == nil {
			timer = time.NewTimer(atMost)
			defer timer.Stop()
		}
		select {
		case <-moved:
		case <-timer.C:
			return late, nil
		case <-ctx.Done():
			return late, context.Cause(ctx)
		}
	}
}

// Copy copies n bytes of packets, which Wait has announced, to w.
func (r *Reader) Copy(w io.Writer, n int64) error {
	e := r.entry
	e.mu.Lock()
	memory, file := e.memory, e.file
	e.mu.Unlock()
	var err error
	switch {
	case r.whole != nil:
		_, err = io.CopyN(w, r.whole, n) // which a connection has the kernel do
	case file != nil:
		err = copyAt(w, file, r.offset, n)
	default:
		_, err = w.Write(memory[r.offset : r.offset+n])
	}
	r.offset += n
	return err
}

const copyBuffer = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

func copyAt(w io.Writer, file *os.File, offset, n int64) error {
	buffer := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buffer)
	for n > 0 {
		chunk := buffer[:min(n, copyBuffer)]
		if _, err := file.ReadAt(chunk, offset); err != nil {
			return err
		}
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		offset, n = offset+int64(len(chunk)), n-int64(len(chunk))
	}
	return nil
}

// Resume has the pack made once more without the cache, after ErrNoRoom, and writes to w
// the packets behind those that were copied.
func (r *Reader) Resume(ctx context.Context, w io.Writer, make Make) error {
	again := &resumption{sent: r.offset, entry: r.entry, to: w}
	band := pktline.NewSideband(again, pktline.SidebandLarge)
	if err := make(ctx, band, func(int) {}); err != nil {
		return err
	}
	return band.Flush()
}

// resumption passes over what was sent already, if it is the same.
type resumption struct {
	entry        *entry
	offset, sent int64
	to           io.Writer
}

var errOther = errors.New("the pack did not come out the same again")

func (r *resumption) Write(p []byte) (int, error) {
	rest := p
	if again := min(r.sent-r.offset, int64(len(p))); again > 0 {
		before := bytes.Clone(p[:again])
		if err := r.entry.readAt(before, r.offset); err != nil {
			return 0, err
		}
		if !bytes.Equal(before, p[:again]) {
			return 0, errOther
		}
		rest = p[again:]
	}
	r.offset += int64(len(p))
	if len(rest) > 0 {
		if _, err := r.to.Write(rest); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (e *entry) readAt(p []byte, offset int64) error {
	e.mu.Lock()
	memory, file := e.memory, e.file
	e.mu.Unlock()
	if file == nil {
		copy(p, memory[offset:])
		return nil
	}
	_, err := file.ReadAt(p, offset)
	return err
}

// check reads a file that an earlier process left. What is not a whole pack in packets is
// an error.
func check(path string) (objects int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	packets := pktline.NewReader(file)
	sum := sha1.New()
	var held []byte // the last bytes, of which the trailer is not to be summed
	objects = -1
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if p.Kind != pktline.Data || len(p.Payload) == 0 || p.Payload[0] != 1 {
			return 0, errDamaged
		}
		held = append(held, p.Payload[1:]...)
		if objects < 0 && len(held) >= 12 {
			if string(held[:4]) != "PACK" {
				return 0, errDamaged
			}
			objects = int(binary.BigEndian.Uint32(held[8:]))
		}
		if n := len(held) - sha1.Size; n > 0 {
			_, _ = sum.Write(held[:n]) // never fails
			held = append(held[:0], held[n:]...)
		}
	}
	if objects < 0 || !bytes.Equal(sum.Sum(nil), held) {
		return 0, errDamaged
	}
	return objects, nil
}

var errDamaged = errors.New("a pack that was kept is damaged")
