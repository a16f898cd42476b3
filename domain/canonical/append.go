package canonical

import (
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendName appends the name of an object's member and its colon, behind a comma unless
// it is the first. The name must need no escapes. Names must come in order.
func AppendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// AppendString appends s in quotes. As in encoding/json, each byte of s that is not part
// of valid UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		b = append(append(b, s[start:i]...), '\\')
		switch c {
		case '"', '\\':
			b = append(b, c)
		case '\b':
			b = append(b, 'b')
		case '\t':
			b = append(b, 't')
		case '\n':
			b = append(b, 'n')
		case '\f':
			b = append(b, 'f')
		case '\r':
			b = append(b, 'r')
		default:
			b = append(b, 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// AppendHex appends data in quotes, as lower-case hexadecimal digits.
func AppendHex(b, data []byte) []byte {
	b = append(b, '"')
	for _, c := range data {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(b, '"')
}

// maxExact is how far all whole numbers can be told apart in JSON as RFC 8785 has it,
// whose numbers are IEEE 754 doubles.
const maxExact = 1 << 53

// AppendInt appends n. Beyond 2^53 it is rounded to the nearest double, as RFC 8785
// demands.
func AppendInt(b []byte, n int64) []byte {
	if n > maxExact || n < -maxExact {
		return strconv.AppendFloat(b, float64(n), 'f', -1, 64)
	}
	return strconv.AppendInt(b, n, 10)
}
