package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/attributes"
	"github.com/annal-git/annal/gitfs/object"
)

// walk hands everything that belongs to the archive to a format, in the tree's order.
// Folders are named before the first file in them, be it ignored, and not if there is none.
type walk struct {
	*Archive
	ctx     context.Context
	w       writer
	pending []entry // folders that have nothing written in them yet
}

func (a *Archive) walk(ctx context.Context, w writer) error {
	v := &walk{Archive: a, ctx: ctx, w: w}
	if prefix := a.request.Prefix; strings.HasSuffix(prefix, "/") {
		if err := w.write(entry{name: strings.TrimRight(prefix, "/") + "/", mode: object.ModeTree, id: a.request.Tree}); err != nil {
			return err
		}
	}
	data, err := a.tree(ctx, a.request.Tree)
	if err != nil {
		return err
	}
	file, err := v.attributes(data, true)
	if err != nil {
		return err
	}
	return v.folder(data, "", attributes.NewStack(file), 0)
}

func (v *walk) folder(data []byte, prefix string, stack *attributes.Stack, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	for e, err := range object.Tree(data) {
		if err != nil {
			return err
		}
		name := prefix + e.Name
		said := stack.Of(e.Name, e.Mode.IsTree(), "export-ignore", "export-subst", "text", "eol", "crlf", "ident")
		ignored := said[0] == attributes.True
		if e.Mode.IsTree() {
			if ignored || !v.paths.mayBelow(name) {
				continue
			}
			if err := v.enter(e, name, stack, depth); err != nil {
				return err
			}
			continue
		}
		if !v.paths.matches(name) {
			continue
		}
		for _, folder := range v.pending {
			if err := v.w.write(folder); err != nil {
				return err
			}
		}
		v.pending = v.pending[:0]
		if ignored {
			continue
		}
		if err := v.file(e, name, conversionOf(said[1:])); err != nil {
			return err
		}
	}
	return nil
}

func (v *walk) enter(e object.TreeEntry, name string, stack *attributes.Stack, depth int) error {
	data, err := v.tree(v.ctx, e.ID)
	if err != nil {
		return err
	}
	file, err := v.attributes(data, false)
	if err != nil {
		return err
	}
	before := len(v.pending)
	v.pending = append(v.pending, entry{name: v.request.Prefix + name + "/", mode: object.ModeTree, id: e.ID})
	if err := v.folder(data, name+"/", stack.Enter(e.Name, file), depth+1); err != nil {
		return err
	}
	v.pending = v.pending[:min(before, len(v.pending))] // had nothing in it
	return nil
}

// attributes reads the file of attributes of a folder, if it has one.
func (v *walk) attributes(tree []byte, top bool) (*attributes.File, error) {
	for link, err := range object.TreeLinks(tree) {
		if err != nil {
			return nil, err
		}
		if string(link.Name) != attributes.Name || !link.Mode.IsFile() {
			continue
		}
		_, size, err := v.objects.Header(v.ctx, link.ID)
		if err != nil || size > attributes.MaxFile {
			return nil, err
		}
		_, data, err := v.objects.Read(v.ctx, link.ID)
		if err != nil {
			return nil, err
		}
		return attributes.Parse(data, top), nil
	}
	return nil, nil
}

var errNoBlob = errors.New("archive: an entry of a tree is not of the type that its mode says")

func (v *walk) file(e object.TreeEntry, name string, c conversion) error {
	out := entry{name: v.request.Prefix + name, mode: e.Mode, id: e.ID}
	if e.Mode.IsGitlink() {
		out.name += "/"
		return v.w.write(out)
	}
	t, size, content, err := v.objects.Open(v.ctx, e.ID)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if t != object.TypeBlob {
		return errNoBlob
	}
	out.size, out.content = size, content
	if e.Mode.IsFile() && c != (conversion{}) && size <= MaxConverted {
		data, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		data = v.convert(data, e.ID, c)
		out.size, out.content = int64(len(data)), bytes.NewReader(data)
	}
	return v.w.write(out)
}

// MaxConverted is how large a file may be whose attributes have its content changed, in
// bytes. Larger ones stay as they are.
const MaxConverted = 32 << 20

// conversion is what is to be done to a file's content.
type conversion struct {
	subst bool // replace $Format:...$
	crlf  bool // end lines as Windows does
	auto  bool // ... if it is text that does not do so already
	ident bool // replace $Id$
}

// conversionOf reads what was said of export-subst, text, eol, crlf and ident, in this
// order.
func conversionOf(said []attributes.Value) (c conversion) {
	text := said[1]
	if text == "" {
		switch said[3] { // the older name
		case attributes.True, attributes.False, "auto":
			text = said[3]
		case "input":
			text = attributes.True
			said[2] = "lf"
		}
	}
	c.subst, c.ident = said[0] == attributes.True, said[4] == attributes.True
	c.crlf = text != attributes.False && said[2] == "crlf"
	c.auto = c.crlf && text == "auto"
	return c
}

func (a *Archive) convert(data []byte, id git.ObjectID, c conversion) []byte {
	if c.ident {
		data = expandIdent(data, id)
	}
	if c.crlf {
		data = endLines(data, c.auto)
	}
	if c.subst && a.commit != nil {
		data = a.substitute(data)
	}
	return data
}

// endLines ends each line with a carriage return as well, unless it does already.
func endLines(data []byte, auto bool) []byte {
	lone := bytes.Count(data, []byte("\n")) - bytes.Count(data, []byte("\r\n"))
	if lone == 0 || auto && (bytes.IndexByte(data, '\r') >= 0 || looksBinary(data)) {
		return data
	}
	out := make([]byte, 0, len(data)+lone)
	for i, c := range data {
		if c == '\n' && (i == 0 || data[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// looksBinary judges as Git does before it changes line ends.
func looksBinary(data []byte) bool {
	printable, other := 0, 0
	for i, c := range data {
		switch {
		case c == 0:
			return true
		case c == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			return true
		case c == '\r' || c == '\n':
		case c == 0x7f, c < 0x20 && c != '\b' && c != '\t' && c != '\x1b' && c != '\f':
			other++
		default:
			printable++
		}
	}
	if n := len(data); n > 0 && data[n-1] == 0x1a {
		other--
	}
	return printable>>7 < other
}

// expandIdent puts the id of the content behind each $Id$.
func expandIdent(data []byte, id git.ObjectID) []byte {
	if !bytes.Contains(data, []byte("$Id")) {
		return data
	}
	var out []byte
	for {
		at := bytes.Index(data, []byte("$Id"))
		if at < 0 {
			return append(out, data...)
		}
		out, data = append(out, data[:at]...), data[at:]
		rest := data[len("$Id"):]
		switch {
		case len(rest) > 0 && rest[0] == '$':
			rest = rest[1:]
		case len(rest) > 0 && rest[0] == ':':
			end := bytes.IndexByte(rest[1:], '$')
			// Of another version control system, or not on one line: left alone.
			if end < 0 || bytes.IndexByte(rest[1:1+end], '\n') >= 0 || foreign(rest[1:1+end]) {
				out, data = append(out, "$Id"...), rest
				continue
			}
			rest = rest[end+2:]
		default:
			out, data = append(out, "$Id"...), rest
			continue
		}
		out = append(out, "$Id: "+id.String()+" $"...)
		data = rest
	}
}

// foreign reports whether the text of an ident has a space inside.
func foreign(text []byte) bool {
	if len(text) < 2 {
		return false
	}
	space := bytes.IndexByte(text[1:], ' ')
	return space >= 0 && 1+space < len(text)-1
}
