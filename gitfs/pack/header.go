package pack

import (
	"encoding/binary"
)

// Sizes of the fixed parts of a pack, in bytes.
const (
	HeaderSize  = 12
	TrailerSize = 20
)

const signature = "PACK"

// AppendHeader writes the header of a version 2 pack.
func AppendHeader(b []byte, objects uint32) []byte {
	b = append(b, signature...)
	b = binary.BigEndian.AppendUint32(b, 2)
	return binary.BigEndian.AppendUint32(b, objects)
}

// ParseHeader reads the number of entries from the first HeaderSize bytes of a
// pack. Versions 2 and 3 have the same format. Errors are *CorruptError.
func ParseHeader(b []byte) (objects uint32, err error) {
	if len(b) < HeaderSize || string(b[:4]) != signature {
		return 0, corrupt("it does not start with %q", signature)
	}
	if v := binary.BigEndian.Uint32(b[4:]); v != 2 && v != 3 {
		return 0, corrupt("version %d is not supported", v)
	}
	return binary.BigEndian.Uint32(b[8:]), nil
}
