package repository

import (
	"encoding/json"
	"slices"

	"github.com/annal-git/annal/domain/canonical"
	"github.com/annal-git/annal/domain/git"
)

// AppendJSON appends the event's body as canonical JSON.
func (e RefsUpdated) AppendJSON(b []byte) []byte {
	b = append(slices.Grow(b, 160+192*len(e.Updates)), '{') // room for the usual
	if len(e.Options) > 0 {
		b = append(canonical.AppendName(b, "options"), '[')
		for i, option := range e.Options {
			if i > 0 {
				b = append(b, ',')
			}
			b = canonical.AppendString(b, option)
		}
		b = append(b, ']')
	}
	if e.Pack != nil {
		b = append(canonical.AppendName(b, "pack"), '{')
		b = canonical.AppendInt(canonical.AppendName(b, "bytes"), e.Pack.Bytes)
		b = canonical.AppendHex(canonical.AppendName(b, "id"), e.Pack.ID[:])
		b = canonical.AppendInt(canonical.AppendName(b, "objects"), e.Pack.Objects)
		b = append(b, '}')
	}
	b = canonical.AppendName(b, "updates")
	if e.Updates == nil {
		return append(b, `null}`...)
	}
	b = append(b, '[')
	for i := range e.Updates {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendUpdate(b, &e.Updates[i])
	}
	return append(b, `]}`...)
}

func appendUpdate(b []byte, u *git.RefUpdate) []byte {
	b = append(b, '{')
	if u.Forced {
		b = append(canonical.AppendName(b, "forced"), `true`...)
	}
	b = canonical.AppendString(canonical.AppendName(b, "name"), u.Name)
	b = canonical.AppendHex(canonical.AppendName(b, "new"), u.New[:])
	b = canonical.AppendHex(canonical.AppendName(b, "old"), u.Old[:])
	if !u.Peeled.IsZero() {
		b = canonical.AppendHex(canonical.AppendName(b, "peeled"), u.Peeled[:])
	}
	return append(b, '}')
}

// DecodeJSON reads a body into the zero event, as encoding/json does.
func (e *RefsUpdated) DecodeJSON(body []byte) error {
	if e.decodeCanonical(body) {
		return nil
	}
	*e = RefsUpdated{}
	return json.Unmarshal(body, e)
}

// decodeCanonical reads what AppendJSON writes; if the body is anything else it reports
// so and leaves e in disorder.
func (e *RefsUpdated) decodeCanonical(body []byte) bool {
	r := canonical.NewReader(body)
	r.Expect(`{`)
	if r.Name("options") {
		r.Expect(`[`)
		for next := true; next && !r.Failed(); next = r.Take(`,`) {
			e.Options = append(e.Options, r.String())
		}
		r.Expect(`]`)
	}
	if r.Name("pack") {
		e.Pack = &git.Pack{}
		r.Expect(`{`)
		r.ExpectName("bytes")
		e.Pack.Bytes = r.Int()
		r.ExpectName("id")
		r.Hex(e.Pack.ID[:])
		r.ExpectName("objects")
		e.Pack.Objects = r.Int()
		r.Expect(`}`)
	}
	r.ExpectName("updates")
	r.Expect(`[`)
	for next := true; next && !r.Failed(); next = r.Take(`,`) {
		e.Updates = append(e.Updates, readUpdate(&r))
	}
	r.Expect(`]}`)
	return r.Done()
}

func readUpdate(r *canonical.Reader) (u git.RefUpdate) {
	r.Expect(`{`)
	if u.Forced = r.Name("forced"); u.Forced {
		r.Expect(`true`)
	}
	r.ExpectName("name")
	u.Name = r.String()
	r.ExpectName("new")
	r.Hex(u.New[:])
	r.ExpectName("old")
	r.Hex(u.Old[:])
	if r.Name("peeled") {
		r.Hex(u.Peeled[:])
	}
	r.Expect(`}`)
	return u
}
