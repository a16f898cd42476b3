package lfs

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/domain"
	domainlfs "github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/faultpoint"
	index "github.com/annal-git/annal/projections/lfs"
)

// Registered is the fault point behind the event of an upload, see package faultpoint.
const Registered = "lfs.registered"

// linked returns the object that a link is to, if it is good for an operation.
func (v *visit) linked(o operation) (domainlfs.OID, error) {
	oid, err := domainlfs.ParseOID(v.grant.OID)
	if err != nil || v.grant.Operation != o {
		return oid, errLink
	}
	return oid, nil
}

// admit waits for the turn of a transfer.
func (v *visit) admit() (leave func(), err error) {
	if v.handler.Admission == nil {
		return func() {}, nil
	}
	queue := "user " + v.Caller.User.Name
	if v.Caller.Anonymous() {
		queue = "address " + v.address()
	}
	// Who waits can neither send nor take anything.
	v.endBody()
	_ = v.control.SetWriteDeadline(time.Time{})
	leave, err = v.handler.Admission.Enter(v.ctx(), queue)
	_ = v.control.SetWriteDeadline(time.Now().Add(v.handler.Idle))
	return leave, err
}

func (h *Handler) handleUpload(v *visit) error {
	oid, err := v.linked(upload)
	if err != nil {
		return err
	}
	size, r := v.grant.Size, v.Request()
	switch {
	case r.Header.Get(echo.HeaderContentEncoding) != "":
		return refuse(http.StatusUnsupportedMediaType, "Objects are sent as they are, without an encoding.")
	case r.ContentLength >= 0 && r.ContentLength != size:
		return refuse(http.StatusUnprocessableEntity, fmt.Sprintf("The object was announced with %d bytes.", size))
	case size > h.MaxObject:
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("Objects are limited to %d bytes.", h.MaxObject))
	}
	room := v.repository.Room
	if err := room.Take(size); err != nil {
		if known, lookErr := h.known(v, oid); lookErr != nil || !known {
			return errors.Join(err, lookErr)
		}
	}
	leave, err := v.admit()
	if err != nil {
		return err
	}
	defer leave()
	body := &idleReader{v: v, r: r.Body}
	err = h.Objects.Put(v.ctx(), v.repository.Storage, oid, size, body)
	h.Observe("upload", body.n, err)
	if err != nil {
		v.allowBody() // what is left of it the server reads, and not for ever
		_ = v.control.SetWriteDeadline(time.Now().Add(h.Idle))
		if body.err != nil {
			return refuse(http.StatusBadRequest, "The object broke off.")
		}
		return err
	}
	_ = v.control.SetWriteDeadline(time.Now().Add(h.Idle)) // the object may have taken longer
	_, err = h.Log.Append(v.ctx(), eventstore.Proposal{
		Stream: domainlfs.Stream(v.Pass.Repository), Expect: eventstore.Any, Meta: v.meta(),
		Events: []domain.Event{domainlfs.ObjectAdded{Repository: v.Pass.Repository, OID: oid, Size: size}},
	})
	if err != nil && !errors.Is(err, index.ErrKnown) {
		return err
	}
	faultpoint.Reach(Registered)
	return v.NoContent(http.StatusOK)
}

func (h *Handler) known(v *visit, oid domainlfs.OID) (bool, error) {
	found, err := h.Index.Objects(v.ctx(), v.Pass.Repository, []domainlfs.OID{oid})
	return len(found) > 0, err
}

// handleVerify tells a client whether what it has uploaded is there.
func (h *Handler) handleVerify(v *visit) error {
	oid, err := v.linked(verify)
	if err != nil {
		return err
	}
	var request objectRequest
	if err := v.decode(&request); err != nil {
		return err
	}
	asked, size, err := request.parse(h.MaxObject)
	if err != nil {
		return err
	}
	if asked != oid {
		return errLink
	}
	found, err := h.Index.Objects(v.ctx(), v.Pass.Repository, []domainlfs.OID{oid})
	if err != nil {
		return err
	}
	switch is, known := found[oid]; {
	case !known:
		return errNoObject
	case is.Size != size:
		return refuse(http.StatusUnprocessableEntity, fmt.Sprintf("The object has %d bytes.", is.Size))
	}
	return v.answer(http.StatusOK, struct{}{})
}

func (h *Handler) handleDownload(v *visit) error {
	oid, err := v.linked(download)
	if err != nil {
		return err
	}
	found, err := h.Index.Objects(v.ctx(), v.Pass.Repository, []domainlfs.OID{oid})
	if err != nil {
		return err
	}
	is, known := found[oid]
	if !known {
		return errNoObject
	}
	leave, err := v.admit()
	if err != nil {
		return err
	}
	defer leave()
	f, err := h.Objects.Open(is.Storage, oid)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	header := v.Response().Header()
	header.Set(echo.HeaderContentType, echo.MIMEOctetStream)
	header.Set(echo.HeaderContentDisposition, "attachment")
	header.Set(echo.HeaderCacheControl, "private, no-transform")
	header.Set("ETag", `"`+oid.String()+`"`)
	w := &idleWriter{ResponseWriter: v.Response(), v: v}
	http.ServeContent(w, v.Request(), "", time.Time{}, f)
	h.Observe("download", w.n, w.err)
	return nil
}

// idleReader gives the client a time in which it has to send something.
type idleReader struct {
	v   *visit
	r   io.Reader
	n   int64 // bytes read
	err error // of the connection
}

func (r *idleReader) Read(b []byte) (int, error) {
	r.v.allowBody()
	n, err := r.r.Read(b)
	r.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		r.v.endBody()
	case err != nil:
		r.err = err
	}
	return n, err
}

// idleWriter gives the client a time in which it has to take something.
type idleWriter struct {
	http.ResponseWriter // *echo.Response
	v                   *visit
	n                   int64 // bytes written
	err                 error // of the connection
}

// stretch is how much of a file the client has to take in the time it is given, in bytes.
const stretch = 4 << 20

func (w *idleWriter) extend() { _ = w.v.control.SetWriteDeadline(time.Now().Add(w.v.handler.Idle)) }

func (w *idleWriter) Write(b []byte) (int, error) {
	w.extend()
	n, err := w.ResponseWriter.Write(b)
	w.n, w.err = w.n+int64(n), err
	return n, err
}

// ReadFrom has the kernel copy from a file.
func (w *idleWriter) ReadFrom(r io.Reader) (n int64, err error) {
	limited, isLimited := r.(*io.LimitedReader)
	to, can := w.v.Response().Writer.(io.ReaderFrom)
	if !isLimited || !can || !w.v.Response().Committed {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	for limited.N > 0 && err == nil {
		part := io.LimitedReader{R: limited.R, N: min(limited.N, stretch)}
		w.extend()
		var copied int64
		copied, err = to.ReadFrom(&part)
		n, limited.N = n+copied, limited.N-copied
		if copied == 0 {
			break // the file has ended
		}
	}
	w.v.Response().Size += n
	w.n, w.err = w.n+n, err
	return n, err
}
