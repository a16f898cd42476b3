package smarthttp

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/gitfs/protocol"
)

const unknownEncoding = "Unknown content encoding."

// body returns the body of a request, unpacked. With a limit, reading more bytes
// than that is refused, so that a little that unpacks to a lot does no harm. It is
// not ok if nobody here can unpack it.
func (h *Handler) body(c echo.Context, limit int64) (body io.Reader, ok bool) {
	body = &idleReader{
		r: c.Request().Body, response: c.Response(), control: http.NewResponseController(c.Response()), idle: h.Idle,
	}
	switch c.Request().Header.Get(echo.HeaderContentEncoding) {
	case "", "identity":
	case "gzip", "x-gzip":
		body = &gzipReader{packed: body}
	default:
		return nil, false
	}
	if limit > 0 {
		body = &limitReader{r: body, left: limit, limit: limit}
	}
	return body, true
}

// gzipReader unpacks, and reads nothing before it is asked to: only then is the
// client told to go on.
type gzipReader struct {
	packed   io.Reader
	unpacked *gzip.Reader
}

func (r *gzipReader) Read(b []byte) (int, error) {
	if r.unpacked == nil {
		unpacked, err := gzip.NewReader(r.packed)
		if err != nil {
			return 0, badGzip(err)
		}
		r.unpacked = unpacked
	}
	n, err := r.unpacked.Read(b)
	return n, badGzip(err)
}

func badGzip(err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return protocol.Refuse("the body of the request is not gzip")
	}
	return err
}

type limitReader struct {
	r           io.Reader
	left, limit int64
}

func (r *limitReader) Read(b []byte) (int, error) {
	if r.left <= 0 {
		if n, err := io.ReadFull(r.r, make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, protocol.Refuse("the request is larger than %d bytes", r.limit)
	}
	n, err := r.r.Read(b[:min(int64(len(b)), r.left)])
	r.left -= int64(n)
	return n, err
}

// idleReader gives the client a time in which it has to send something. What is answered to
// a body that breaks off, or that is no valid HTTP, is a bad request, whatever Git's protocol
// has to say to it.
type idleReader struct {
	r        io.Reader
	response *echo.Response
	control  *http.ResponseController
	idle     time.Duration
}

func (r *idleReader) Read(b []byte) (int, error) {
	setReadDeadline(r.control, time.Now().Add(r.idle))
	n, err := r.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) && !r.response.Committed {
		r.response.Status = http.StatusBadRequest
	}
	if errors.Is(err, io.EOF) {
		// While the answer is made the client has nothing to send, and the
		// server listens all the same whether it is still there.
		setReadDeadline(r.control, time.Time{})
	}
	return n, err
}

// setReadDeadline does its best: a connection without deadlines goes without.
func setReadDeadline(control *http.ResponseController, at time.Time) {
	_ = control.SetReadDeadline(at)
}

// idleWriter gives the client a time in which it has to take something.
type idleWriter struct {
	response *echo.Response
	control  *http.ResponseController
	idle     time.Duration
}

// writer returns the body of the answer.
func (h *Handler) writer(c echo.Context) *idleWriter {
	return &idleWriter{response: c.Response(), control: http.NewResponseController(c.Response()), idle: h.Idle}
}

func (w *idleWriter) Write(b []byte) (int, error) {
	w.extend()
	return w.response.Write(b)
}

func (w *idleWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.idle)) }

// SetLength says how long the whole answer is, in bytes, if nothing of it has gone out yet.
func (w *idleWriter) SetLength(bytes int64) {
	if !w.response.Committed {
		w.response.Header().Set(echo.HeaderContentLength, strconv.FormatInt(bytes, 10))
	}
}

// idleStretch is how much of a file the client has to take in the time it is given.
const idleStretch = 4 << 20

// ReadFrom has the kernel copy from a file, if it is one whose length is limited and if the
// length of the answer is known.
func (w *idleWriter) ReadFrom(r io.Reader) (n int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	to, can := w.response.Writer.(io.ReaderFrom)
	if !ok || !can {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	if !w.response.Committed {
		w.response.WriteHeader(http.StatusOK)
	}
	for limited.N > 0 && err == nil {
		stretch := io.LimitedReader{R: limited.R, N: min(limited.N, idleStretch)}
		w.extend()
		var copied int64
		copied, err = to.ReadFrom(&stretch)
		n, limited.N = n+copied, limited.N-copied
		if copied == 0 {
			break // the file has ended
		}
	}
	w.response.Size += n
	return n, err
}

// Flush sends what has been written so far.
func (w *idleWriter) Flush() {
	// If the client is gone, the next Write says so.
	_ = w.control.Flush()
}

// endDeadlines leaves the connection as it was for the next request.
func (h *Handler) endDeadlines(c echo.Context) {
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Time{})
}
