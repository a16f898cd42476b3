package canonical

import "unicode/utf8"

// Reader reads JSON that is spelled exactly as expected. The first departure makes it
// fail for good, and Done says so; what its methods return then means nothing. It
// understands less than encoding/json and agrees with it on all that it understands.
type Reader struct {
	data   []byte
	at     int
	failed bool
}

// NewReader reads data, which must not change meanwhile. What it returns does not
// share memory with data, but for Raw.
func NewReader(data []byte) Reader { return Reader{data: data} }

// Done reports whether everything was read, and as expected.
func (r *Reader) Done() bool { return !r.failed && r.at == len(r.data) }

// Failed reports whether something was not as expected: a loop must ask.
func (r *Reader) Failed() bool { return r.failed }

// Take steps over text if it comes next, and reports whether it did.
func (r *Reader) Take(text string) bool {
	rest := r.data[r.at:]
	if len(rest) < len(text) || string(rest[:len(text)]) != text {
		return false
	}
	r.at += len(text)
	return true
}

// Expect steps over text, which must come next.
func (r *Reader) Expect(text string) {
	if !r.Take(text) {
		r.failed = true
	}
}

// Name steps over the name of an object's member, with the comma before it and the
// colon behind it, if that comes next, and reports whether it did.
func (r *Reader) Name(name string) bool {
	at := r.at
	if at > 0 && r.data[at-1] != '{' {
		if at == len(r.data) || r.data[at] != ',' {
			return false
		}
		at++
	}
	end := at + len(name) + len(`"":`)
	if end > len(r.data) || r.data[at] != '"' || string(r.data[at+1:end-2]) != name || r.data[end-2] != '"' || r.data[end-1] != ':' {
		return false
	}
	r.at = end
	return true
}

// ExpectName steps over the name of an object's member, which must come next.
func (r *Reader) ExpectName(name string) {
	if !r.Name(name) {
		r.failed = true
	}
}

// String reads a string without escapes.
func (r *Reader) String() string { return string(r.Raw()) }

// Raw reads a string without escapes and returns what stands between the quotes: a part
// of the data.
func (r *Reader) Raw() []byte {
	if !r.Take(`"`) {
		r.failed = true
		return nil
	}
	ascii := true
	for i, c := range r.data[r.at:] {
		switch {
		case c == '"':
			text := r.data[r.at : r.at+i]
			r.at += i + 1
			if !ascii && !utf8.Valid(text) {
				r.failed = true
			}
			return text
		case c == '\\' || c < ' ':
			r.failed = true
			return nil
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.failed = true
	return nil
}

// maxDigits are read by Int: fewer than those of 2^53.
const maxDigits = 15

// Int reads a whole number without fraction or exponent.
func (r *Reader) Int() int64 {
	negative := r.Take(`-`)
	var n int64
	start := r.at
	for r.at < len(r.data) && r.data[r.at]-'0' <= 9 && r.at-start <= maxDigits {
		n = 10*n + int64(r.data[r.at]-'0')
		r.at++
	}
	count := r.at - start
	if count == 0 || count > maxDigits || (r.data[start] == '0' && (count > 1 || negative)) {
		r.failed = true
		return 0
	}
	if negative {
		return -n
	}
	return n
}

// Hex fills data from a string of lower-case hexadecimal digits, two a byte.
func (r *Reader) Hex(data []byte) {
	rest := r.data[r.at:]
	end := 2*len(data) + 1
	if len(rest) <= end || rest[0] != '"' || rest[end] != '"' {
		r.failed = true
		return
	}
	var wrong byte
	digits := rest[1:end]
	for i := range data {
		high, low := hexValue[digits[2*i]], hexValue[digits[2*i+1]]
		wrong |= high | low
		data[i] = high<<4 | low&15
	}
	if wrong&notHex != 0 {
		r.failed = true
		return
	}
	r.at += end + 1
}

// notHex marks what is no digit in hexValue.
const notHex = 0x80

var hexValue = func() (values [256]byte) {
	for i := range values {
		values[i] = notHex
	}
	for i := range hexDigits {
		values[hexDigits[i]] = byte(i)
	}
	return values
}()

// Offset is how many bytes have been read.
func (r *Reader) Offset() int { return r.at }
