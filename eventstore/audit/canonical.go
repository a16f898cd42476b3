package audit

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

var errNotCanonical = errors.New("it is not canonical JSON (RFC 8785)")

// maxDepth is how deep canonical JSON may be nested here.
const maxDepth = 200

// scanValue steps over one value of canonical JSON at b[i:] and returns where it ends, -1
// if it is not one: whether a text is canonical is found out by one look at each byte.
func scanValue(b []byte, i, depth int) int {
	if i >= len(b) || depth > maxDepth {
		return -1
	}
	switch c := b[i]; c {
	case '{':
		return scanObject(b, i, depth)
	case '[':
		if i++; i < len(b) && b[i] == ']' {
			return i + 1
		}
		for {
			if i = scanValue(b, i, depth+1); i < 0 || i >= len(b) {
				return -1
			}
			switch b[i] {
			case ',':
				i++
			case ']':
				return i + 1
			default:
				return -1
			}
		}
	case '"':
		return scanString(b, i)
	case 't':
		return scanWord(b, i, "true")
	case 'f':
		return scanWord(b, i, "false")
	case 'n':
		return scanWord(b, i, "null")
	default:
		return scanNumber(b, i)
	}
}

func scanObject(b []byte, i, depth int) int {
	if i++; i < len(b) && b[i] == '}' {
		return i + 1
	}
	var previous []byte
	for {
		start := i
		if i = scanString(b, i); i < 0 || i >= len(b) || b[i] != ':' {
			return -1
		}
		name := b[start+1 : i-1]
		if previous != nil && !before(previous, name) {
			return -1
		}
		previous = name
		if i = scanValue(b, i+1, depth+1); i < 0 || i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// before reports whether one name of an object's member comes before another: by their
// UTF-16 code units (RFC 8785, section 3.2.3).
func before(a, b []byte) bool {
	plain := true
	for _, c := range a {
		plain = plain && c < utf8.RuneSelf && c != '\\'
	}
	for _, c := range b {
		plain = plain && c < utf8.RuneSelf && c != '\\'
	}
	if plain {
		return string(a) < string(b)
	}
	return slices.Compare(units(a), units(b)) < 0
}

func units(quoted []byte) []uint16 {
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, quoted...), '"'), &s) != nil {
		return nil
	}
	return utf16.Encode([]rune(s))
}

// scanString steps over a string that escapes what must be escaped and nothing else.
func scanString(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	start, ascii := i+1, true
	i = skipPlain(b, i+1)
	for ; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '"':
			if !ascii && !utf8.Valid(b[start:i]) {
				return -1
			}
			return i + 1
		case c < ' ':
			return -1
		case c >= utf8.RuneSelf:
			ascii = false
		case c == '\\':
			if i++; i >= len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', 'b', 't', 'n', 'f', 'r':
			case 'u':
				if i+4 >= len(b) || !escaped(b[i+1:i+5]) {
					return -1
				}
				i += 4
			default:
				return -1
			}
		}
	}
	return -1
}

// skipPlain steps over ASCII that needs no escape, eight bytes at a time.
func skipPlain(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^ones*'"', w^ones*'\\'
		// A bit is set above each byte that is zero, or less than a space.
		if found := (w | (w - ones*' ') | (quote - ones) | (slash - ones)) & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
		i += 8
	}
	return i
}

// escaped reports whether four digits are those of a control character without an escape
// of its own.
func escaped(digits []byte) bool {
	if digits[0] != '0' || digits[1] != '0' || (digits[2] != '0' && digits[2] != '1') {
		return false
	}
	low := digits[3]
	if (low < '0' || low > '9') && (low < 'a' || low > 'f') {
		return false
	}
	if digits[2] == '0' {
		return low != '8' && low != '9' && low != 'a' && low != 'c' && low != 'd'
	}
	return true
}

func scanWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// scanNumber steps over a number as ECMAScript writes it.
func scanNumber(b []byte, i int) int {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	count := i - digits
	if count == 0 {
		return -1
	}
	whole := i >= len(b) || (b[i] != '.' && b[i] != 'e' && b[i] != 'E')
	if whole && count <= 15 {
		if b[digits] == '0' && (count > 1 || digits > start) {
			return -1
		}
		return i
	}
	for i < len(b) && (b[i] == '.' || b[i] == 'e' || b[i] == 'E' || b[i] == '+' || b[i] == '-' || (b[i] >= '0' && b[i] <= '9')) {
		i++
	}
	f, err := strconv.ParseFloat(string(b[start:i]), 64)
	if err != nil || math.IsInf(f, 0) {
		return -1
	}
	if text, err := jcs.NumberToJSON(f); err != nil || text != string(b[start:i]) {
		return -1
	}
	return i
}
