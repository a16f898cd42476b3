package lfs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	domainlfs "github.com/annal-git/annal/domain/lfs"
)

// batchRequest asks where to download objects from, or where to upload them to. Which ways
// of transfer the client knows is left out: each knows the basic one.
type batchRequest struct {
	Operation operation       `json:"operation"`
	Objects   []objectRequest `json:"objects"`
	Hash      string          `json:"hash_algo"`
	Ref       *struct {
		Name string `json:"name"`
	} `json:"ref"`
}

// objectRequest names an object.
type objectRequest struct {
	OID  string          `json:"oid"`
	Size json.RawMessage `json:"size"`
}

// check refuses requests that cannot be answered object by object.
func (r batchRequest) check() error {
	switch {
	case r.Operation != download && r.Operation != upload:
		return refuse(http.StatusUnprocessableEntity, `The operation must be "download" or "upload".`)
	case r.Hash != "" && r.Hash != "sha256":
		return refuse(http.StatusConflict, "Objects are named by sha256 here.")
	case len(r.Objects) > maxObjects:
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("A batch is limited to %d objects.", maxObjects))
	case r.Ref != nil && len(r.Ref.Name) > maxRefName:
		return refuse(http.StatusUnprocessableEntity, fmt.Sprintf("The name of the ref is limited to %d bytes.", maxRefName))
	}
	return nil
}

// parse reads the name and size of an object.
func (r objectRequest) parse(largest int64) (oid domainlfs.OID, size int64, err error) {
	if oid, err = domainlfs.ParseOID(r.OID); err != nil {
		return oid, 0, domain.Invalid("oid", "The oid must be a SHA-256 of 64 lower-case hexadecimal digits.")
	}
	size, err = strconv.ParseInt(string(r.Size), 10, 64)
	switch {
	case err != nil || size < 0:
		return oid, 0, domain.Invalid("size", "The size must be a number of bytes.")
	case size > largest:
		return oid, 0, domain.Invalid("size", "The object of %d bytes is too large: objects are limited to %d bytes.", size, largest)
	}
	return oid, size, nil
}

// batchAnswer and what it is made of.
type batchAnswer struct {
	Transfer string         `json:"transfer"`
	Objects  []objectAnswer `json:"objects"`
	Hash     string         `json:"hash_algo"`
}

type objectAnswer struct {
	OID           string             `json:"oid"`
	Size          json.RawMessage    `json:"size,omitempty"`
	Authenticated bool               `json:"authenticated,omitempty"`
	Actions       map[operation]link `json:"actions,omitempty"`
	Error         *objectError       `json:"error,omitempty"`
}

type link struct {
	Href      string            `json:"href"`
	Header    map[string]string `json:"header"`
	ExpiresIn int               `json:"expires_in"` // seconds
	ExpiresAt string            `json:"expires_at"`
}

type objectError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (v *visit) answerObject(o *objectAnswer, err error) {
	p := explain(err)
	o.Error = &objectError{p.Status, p.Message}
}

func (h *Handler) handleBatch(v *visit) error {
	var request batchRequest
	if err := v.decode(&request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	if request.Operation == upload {
		if err := v.demand(rights.RepoWrite); err != nil {
			return err
		}
	}
	answer := batchAnswer{Transfer: "basic", Objects: make([]objectAnswer, len(request.Objects)), Hash: "sha256"}
	oids, sizes := make([]domainlfs.OID, len(request.Objects)), make([]int64, len(request.Objects))
	for i, asked := range request.Objects {
		o := &answer.Objects[i]
		o.OID, o.Size = asked.OID, asked.Size
		var err error
		if oids[i], sizes[i], err = asked.parse(h.MaxObject); err != nil {
			v.answerObject(o, err)
		}
	}
	found, err := h.Index.Objects(v.ctx(), v.Pass.Repository, oids)
	if err != nil {
		return err
	}
	linker, err := v.linker()
	if err != nil {
		return err
	}
	room, asked := v.repository.Room, map[domainlfs.OID]bool{}
	for i := range answer.Objects {
		o := &answer.Objects[i]
		if o.Error != nil {
			continue
		}
		is, known := found[oids[i]]
		switch {
		case known && is.Size != sizes[i]:
			v.answerObject(o, domain.Invalid("size", "The object has %d bytes.", is.Size))
		case request.Operation == download && !known:
			v.answerObject(o, errNoObject)
		case request.Operation == download:
			linker.link(o, download, sizes[i])
		case known: // nothing to do
		default:
			if !asked[oids[i]] {
				if err := room.Take(sizes[i]); err != nil {
					v.answerObject(o, err)
					continue
				}
				asked[oids[i]] = true
			}
			linker.link(o, upload, sizes[i])
			linker.link(o, verify, sizes[i])
		}
	}
	return v.answer(http.StatusOK, answer)
}

var errNoObject = refuse(http.StatusNotFound, "The repository does not have this object.")

// linker makes links for one caller.
type linker struct {
	v     *visit
	grant grant
	base  string
	ends  time.Time
}

func (v *visit) linker() (*linker, error) {
	h := v.handler
	holder, err := h.Credentials.Resumption(v.ctx(), v.Caller)
	if err != nil {
		return nil, err
	}
	ends := h.ends(v.Caller.Until)
	if v.grant != nil { // no link lives on what has ended
		ends = time.Unix(min(ends.Unix(), v.grant.Ends), 0)
	}
	return &linker{v, grant{Repository: v.Pass.Repository, Holder: holder, Ends: ends.Unix()}, h.endpoint(v.name) + "/storage/", ends}, nil
}

// ends is when a grant does whose holder's credentials end, or zero.
func (h *Handler) ends(until time.Time) time.Time {
	ends := h.Now().Add(lifetime)
	if !until.IsZero() && until.Before(ends) {
		ends = until
	}
	return ends.Truncate(time.Second)
}

// link adds a link to an object.
func (l *linker) link(o *objectAnswer, op operation, size int64) {
	g := l.grant
	g.Operation, g.OID, g.Size = op, o.OID, size
	made := link{Href: l.base + o.OID, Header: l.v.handler.header(g), ExpiresIn: l.v.handler.seconds(l.ends), ExpiresAt: l.ends.UTC().Format(time.RFC3339)}
	if op == verify {
		made.Href += "/verify"
	}
	if o.Actions == nil {
		o.Actions, o.Authenticated = map[operation]link{}, true
	}
	o.Actions[op] = made
}

func (h *Handler) header(g grant) map[string]string {
	return map[string]string{"Authorization": "Bearer " + h.signer.sign(g)}
}

func (h *Handler) seconds(ends time.Time) int { return int(max(1, ends.Sub(h.Now()).Seconds())) }
