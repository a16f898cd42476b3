package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/annal-git/annal/domain/canonical"
)

// An export is lines of JSON, each in one form:
//
//	{"annal":"export","version":1,"header":{...}}
//	{"position":1,"hash":"...","personal":[{"part":"origin","subject":5,"salt":"...","data":"..."}],"leaf":{...}}
//	{"checkpoint":"..."}
//	{"end":1}
//
// "leaf" is the event, byte for byte as it was hashed; "hash" is what the tiles have of it,
// absent where they do not reach; "personal" is absent where there is none. Binary values
// are in base64. A checkpoint comes directly behind the last event that it covers.

const exportVersion = 1

// Limits of what is read.
const (
	chunkSize = 1 << 20   // bytes that are parsed together
	maxLine   = 512 << 20 // bytes; an event is smaller
)

type exportStart struct {
	Annal   string `json:"annal"`
	Version int    `json:"version"`
	Header  Header `json:"header"`
}

// Write writes a source as an export. progress, which may be nil, is told of each page
// that was written.
func Write(ctx context.Context, w io.Writer, source Source, progress func(position int64)) error {
	out := bufio.NewWriterSize(w, chunkSize)
	start, err := json.Marshal(exportStart{"export", exportVersion, source.Header()})
	if err != nil {
		return err
	}
	_, _ = out.Write(append(start, '\n')) // an error stays until Flush
	var line []byte
	last := source.Header().From - 1
	for {
		page, err := source.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if page.Parse != nil {
			if err := page.Parse(page); err != nil {
				return err
			}
		}
		notes := page.Notes
		for i := 0; i <= len(page.Entries); i++ {
			for len(notes) > 0 && notes[0].After == i {
				line = append(canonical.AppendString(append(line[:0], `{"checkpoint":`...), notes[0].Signed), "}\n"...)
				_, _ = out.Write(line)
				notes = notes[1:]
			}
			if i < len(page.Entries) {
				line = appendEntry(line[:0], &page.Entries[i])
				last = page.Entries[i].Position
				if _, err := out.Write(line); err != nil {
					return err
				}
			}
		}
		if progress != nil {
			progress(last)
		}
	}
	_, _ = fmt.Fprintf(out, "{\"end\":%d}\n", last)
	return out.Flush()
}

func appendEntry(b []byte, e *Entry) []byte {
	b = strconv.AppendInt(append(b, `{"position":`...), e.Position, 10)
	if e.Hashed {
		b = append(b, `,"hash":`...)
		b = appendBase64(b, e.Hash[:])
	}
	for i, p := range e.Personal {
		if i == 0 {
			b = append(b, `,"personal":[`...)
		} else {
			b = append(b, ',')
		}
		b = canonical.AppendString(append(b, `{"part":`...), p.Part)
		b = strconv.AppendInt(append(b, `,"subject":`...), p.Subject, 10)
		b = appendBase64(append(b, `,"salt":`...), p.Salt)
		b = append(appendBase64(append(b, `,"data":`...), p.Data), '}')
	}
	if len(e.Personal) > 0 {
		b = append(b, ']')
	}
	b = append(append(b, `,"leaf":`...), e.Leaf...)
	return append(b, "}\n"...)
}

func appendBase64(b, data []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}

// Export reads an export. It implements Source.
type Export struct {
	in     io.Reader
	carry  []byte // read, but not handed out: the beginning of a line
	header Header
	ended  bool
}

// OpenExport reads the start of an export. The error is an *InputError if it is none.
func OpenExport(r io.Reader) (*Export, error) {
	e := &Export{in: r}
	first, err := e.chunk()
	line, rest, whole := bytes.Cut(first, []byte{'\n'})
	if err != nil || !whole {
		return nil, &InputError{0, errors.New("the input does not begin as an export does")}
	}
	e.carry, e.ended = append(bytes.Clone(rest), e.carry...), false
	var start exportStart
	if err := json.Unmarshal(line, &start); err != nil || start.Annal != "export" {
		return nil, &InputError{0, errors.New("the input does not begin as an export does")}
	}
	if start.Version != exportVersion {
		return nil, &InputError{0, fmt.Errorf("the export has version %d, and this program reads version %d", start.Version, exportVersion)}
	}
	if start.Header.From < 1 || start.Header.Cluster == "" {
		return nil, &InputError{0, errors.New("the export does not say of which cluster it is, and from where on")}
	}
	e.header = start.Header
	return e, nil
}

// Header implements Source.
func (e *Export) Header() Header { return e.header }

// Next implements Source: some lines, not parsed yet.
func (e *Export) Next(ctx context.Context) (*Page, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.ended {
		return nil, io.EOF
	}
	chunk, err := e.chunk()
	if err != nil {
		return nil, err
	}
	if len(chunk) == 0 {
		return nil, io.EOF
	}
	return &Page{Parse: func(p *Page) error { return p.parseLines(chunk) }}, nil
}

// chunk reads some whole lines, and at the end what there is.
func (e *Export) chunk() ([]byte, error) {
	chunk := make([]byte, max(chunkSize, 2*len(e.carry)))
	n := copy(chunk, e.carry)
	for {
		more, err := io.ReadFull(e.in, chunk[n:])
		n += more
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			e.ended, e.carry = true, nil
			return chunk[:n], nil
		case err != nil:
			return nil, &InputError{0, err}
		}
		if end := bytes.LastIndexByte(chunk, '\n') + 1; end > 0 {
			e.carry = append(e.carry[:0], chunk[end:n]...)
			return chunk[:end], nil
		}
		if len(chunk) > maxLine {
			return nil, &InputError{0, fmt.Errorf("a line of the export is longer than %d bytes", maxLine)}
		}
		chunk = append(chunk, make([]byte, len(chunk))...)
	}
}

var errLine = errors.New("a line of the export is not in its form")

func (p *Page) parseLines(chunk []byte) error {
	p.Entries = make([]Entry, 0, bytes.Count(chunk, []byte{'\n'}))
	for len(chunk) > 0 {
		line, rest, whole := bytes.Cut(chunk, []byte{'\n'})
		if !whole {
			return errors.New("the export ends in the middle of a line")
		}
		if p.Last {
			return errors.New("something follows the end of the export")
		}
		if err := p.parseLine(line); err != nil {
			return err
		}
		chunk = rest
	}
	return nil
}

func (p *Page) parseLine(line []byte) error {
	if len(line) < 2 || line[len(line)-1] != '}' {
		return errLine
	}
	r := canonical.NewReader(line)
	switch {
	case r.Take(`{"position":`):
		return p.parseEvent(line, &r)
	case r.Take(`{"checkpoint":`):
		var note struct {
			Checkpoint string `json:"checkpoint"`
		}
		if err := json.Unmarshal(line, &note); err != nil {
			return errLine
		}
		p.Notes = append(p.Notes, Note{After: len(p.Entries), Signed: note.Checkpoint})
		return nil
	case r.Take(`{"end":`):
		end := r.Int()
		r.Expect(`}`)
		if !r.Done() {
			return errLine
		}
		if n := len(p.Entries); n > 0 && p.Entries[n-1].Position != end {
			return fmt.Errorf("the export says that it ends with event %d, but the last is %d", end, p.Entries[n-1].Position)
		}
		p.Last = true
		return nil
	}
	return errLine
}

func (p *Page) parseEvent(line []byte, r *canonical.Reader) error {
	e := Entry{Position: r.Int()}
	if r.Take(`,"hash":`) {
		e.Hashed = true
		var room [36]byte
		encoded := r.Raw()
		if len(encoded) != 44 {
			return errLine
		}
		if n, err := base64.StdEncoding.Decode(room[:], encoded); err != nil || n != len(e.Hash) {
			return errLine
		}
		copy(e.Hash[:], room[:])
	}
	if p.TreeOnly {
		// Between the two is nothing that could look like the second.
		const leaf = `,"leaf":`
		i := bytes.Index(line[r.Offset():], []byte(leaf))
		if i < 0 || r.Failed() {
			return errLine
		}
		e.Leaf = line[r.Offset()+i+len(leaf) : len(line)-1]
		p.Entries = append(p.Entries, e)
		return nil
	}
	if r.Take(`,"personal":[`) {
		start := len(p.rows)
		for {
			personal, err := p.parsePersonal(r)
			if err != nil {
				return err
			}
			p.rows = append(p.rows, personal)
			if r.Take(`]`) {
				break
			}
			r.Expect(`,`)
		}
		e.Personal = p.rows[start:len(p.rows):len(p.rows)]
	}
	r.Expect(`,"leaf":`)
	if r.Failed() {
		return errLine
	}
	// What stands between here and the bracket at the end of the line is the leaf; whether
	// it is one shows its parsing.
	e.Leaf = line[r.Offset() : len(line)-1]
	p.Entries = append(p.Entries, e)
	return nil
}

func (p *Page) parsePersonal(r *canonical.Reader) (d PersonalData, err error) {
	r.Expect(`{"part":`)
	switch part := r.Raw(); string(part) {
	case "origin":
		d.Part = "origin"
	case "event":
		d.Part = "event"
	default:
		return d, errLine
	}
	r.Expect(`,"subject":`)
	d.Subject = r.Int()
	r.Expect(`,"salt":`)
	salt := r.Raw()
	r.Expect(`,"data":`)
	data := r.Raw()
	r.Expect(`}`)
	if r.Failed() {
		return d, errLine
	}
	if d.Salt, err = p.decode(salt); err != nil {
		return d, errLine
	}
	if d.Data, err = p.decode(data); err != nil {
		return d, errLine
	}
	return d, nil
}

// decode decodes base64 into room that the page's values share.
func (p *Page) decode(text []byte) ([]byte, error) {
	if need := base64.StdEncoding.DecodedLen(len(text)); cap(p.room)-len(p.room) < need {
		p.room = make([]byte, 0, max(need, 64<<10))
	}
	start := len(p.room)
	decoded, err := base64.StdEncoding.AppendDecode(p.room, text)
	p.room = decoded
	return decoded[start:len(decoded):len(decoded)], err
}
