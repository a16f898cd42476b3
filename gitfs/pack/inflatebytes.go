package pack

import (
	"encoding/binary"
	"hash/adler32"
	"math/bits"
	"sync"
)

// bytesInflater reads zlib streams (RFC 1950, 1951) from memory into memory. Most entries of
// a pack are a few hundred bytes, so that it counts how soon the tables of a block stand; and
// what a stream holds is its own window, so that nothing is copied a second time.
type bytesInflater struct {
	in   []byte
	next int    // index in in
	bits uint64 // the next bits, lowest first; those from held on may be set already
	held uint   // how many bits count

	out     []byte
	written int

	literals  [2048]uint32 // by the next literalBits bits, then tables for longer codes
	distances [512]uint32
	lengths   [maxLiterals + maxDistances]uint8
	sorted    [maxLiterals + 2]uint16 // symbols by length of their codes
}

const (
	maxCode      = 15  // bits of the longest code
	maxLiterals  = 286 // symbols of literals and lengths that mean something
	maxDistances = 30
	endOfBlock   = 256

	literalBits  = 10 // by so many bits the first table is looked up: at most 1334 entries in all
	distanceBits = 8  // at most 402
	lengthBits   = 7
)

// An entry of a table holds the bits of the code in its lowest byte. The next byte is how many
// bits follow, the upper half the value they are added to. Zero is no code.
const (
	entryLiteral = 1 << 31 // the value is a byte
	entryEnd     = 1 << 30 // the block ends
	entryMore    = 1 << 15 // the value is where another table starts, for as many bits as follow
)

var (
	literalEntries, distanceEntries, lengthEntries = symbolEntries()
	// lengthOrder is the order in which lengths of the codes of lengths are written.
	lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	fixedTables = sync.OnceValue(func() *bytesInflater {
		z := new(bytesInflater)
		z.fixed()
		return z
	})
	bytesInflaters = sync.Pool{New: func() any { return new(bytesInflater) }}
)

// symbolEntries returns the entry of each symbol, without its code.
func symbolEntries() (literals [288]uint32, distances [32]uint32, lengths [19]uint32) {
	for i := range endOfBlock {
		literals[i] = entryLiteral | uint32(i)<<16
	}
	literals[endOfBlock] = entryEnd
	base := uint32(3)
	for i := range uint32(28) {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		literals[257+i] = base<<16 | extra<<8
		base += 1 << extra
	}
	literals[285] = 258 << 16
	base = 1
	for i := range uint32(maxDistances) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		distances[i] = base<<16 | extra<<8
		base += 1 << extra
	}
	for i := range lengths {
		lengths[i] = uint32(i) << 16
	}
	return literals, distances, lengths
}

// inflateBytes fills out, whose length must be the size of the stream at the start of in,
// and returns how many bytes of in that takes.
func inflateBytes(out, in []byte) (int, error) {
	const header, trailer = 2, 4
	if len(in) < header+trailer {
		return 0, errInflateShort
	}
	h := binary.BigEndian.Uint16(in)
	if h>>8&15 != 8 || h>>12 > 7 || h%31 != 0 || h&0x20 != 0 { // deflate, window, check bits, no dictionary
		return 0, errInflateData
	}
	z := bytesInflaters.Get().(*bytesInflater)
	defer bytesInflaters.Put(z)
	z.in, z.next, z.bits, z.held = in, header, 0, 0
	z.out, z.written = out, 0
	err := z.blocks()
	end := z.next - int(z.held/8) // whole bytes that were read ahead
	z.in, z.out = nil, nil        // do not hold on to a cache's block
	switch {
	case err != nil:
		return 0, err
	case z.written != len(out):
		return 0, errInflateShort
	case len(in)-end < trailer:
		return 0, errInflateShort
	case binary.BigEndian.Uint32(in[end:]) != adler32.Checksum(out):
		return 0, errInflateData
	}
	return end + trailer, nil
}

func (z *bytesInflater) blocks() error {
	for {
		head, err := z.take(3)
		if err != nil {
			return err
		}
		switch head >> 1 {
		case 0:
			err = z.stored()
		case 1:
			fixed := fixedTables()
			err = z.block(&fixed.literals, &fixed.distances)
		case 2:
			if err = z.dynamic(); err == nil {
				err = z.block(&z.literals, &z.distances)
			}
		default:
			err = errInflateData
		}
		if err != nil || head&1 != 0 {
			return err
		}
	}
}

// fill reads ahead, so that at least 56 bits are held unless the input ends.
func (z *bytesInflater) fill() {
	if len(z.in)-z.next >= 8 {
		z.bits |= binary.LittleEndian.Uint64(z.in[z.next:]) << z.held
		z.next += int(63-z.held) >> 3
		z.held |= 56
		return
	}
	for ; z.held < 56 && z.next < len(z.in); z.next++ {
		z.bits |= uint64(z.in[z.next]) << z.held
		z.held += 8
	}
}

// take reads up to 16 bits.
func (z *bytesInflater) take(n uint) (uint32, error) {
	if z.held < n {
		if z.fill(); z.held < n {
			return 0, errInflateShort
		}
	}
	v := uint32(z.bits & (1<<n - 1))
	z.bits >>= n
	z.held -= n
	return v, nil
}

// stored copies a block that is not compressed.
func (z *bytesInflater) stored() error {
	z.next -= int(z.held / 8)
	z.bits, z.held = 0, 0
	rest := z.in[z.next:]
	if len(rest) < 4 {
		return errInflateShort
	}
	n := binary.LittleEndian.Uint16(rest)
	if n != ^binary.LittleEndian.Uint16(rest[2:]) {
		return errInflateData
	}
	rest = rest[4:]
	switch {
	case len(rest) < int(n):
		return errInflateShort
	case len(z.out)-z.written < int(n):
		return errInflateLong
	}
	z.written += copy(z.out[z.written:], rest[:n])
	z.next += 4 + int(n)
	return nil
}

// fixed builds the tables of blocks that bring none.
func (z *bytesInflater) fixed() {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	var distances [32]uint8
	for i := range distances {
		distances[i] = 5
	}
	z.table(z.literals[:], literalBits, lengths[:], literalEntries[:])
	z.table(z.distances[:], distanceBits, distances[:], distanceEntries[:])
}

// dynamic reads the tables of a block.
func (z *bytesInflater) dynamic() error {
	counts, err := z.take(14)
	if err != nil {
		return err
	}
	literals, distances, codes := int(counts&31)+257, int(counts>>5&31)+1, int(counts>>10)+4
	if literals > maxLiterals || distances > maxDistances {
		return errInflateData
	}
	var order [19]uint8
	for _, i := range lengthOrder[:codes] {
		n, err := z.take(3)
		if err != nil {
			return err
		}
		order[i] = uint8(n)
	}
	table := z.distances[:1<<lengthBits] // free until the lengths are known
	if !z.table(table, lengthBits, order[:], lengthEntries[:]) {
		return errInflateData
	}
	lengths := z.lengths[:literals+distances]
	for i := 0; i < len(lengths); {
		if z.held < lengthBits+7 {
			z.fill()
		}
		e := table[z.bits&(1<<lengthBits-1)]
		n := uint(e & 0xff)
		switch {
		case n > z.held:
			return errInflateShort
		case n == 0:
			return errInflateData
		}
		z.bits >>= n
		z.held -= n
		symbol := uint8(e >> 16)
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		value, extra, least := uint8(0), uint(2), 3
		switch symbol {
		case 16:
			if i == 0 {
				return errInflateData
			}
			value = lengths[i-1]
		case 17:
			extra = 3
		default:
			extra, least = 7, 11
		}
		more, err := z.take(extra)
		if err != nil {
			return err
		}
		repeat := least + int(more)
		if repeat > len(lengths)-i {
			return errInflateData
		}
		for range repeat {
			lengths[i] = value
			i++
		}
	}
	if lengths[endOfBlock] == 0 ||
		!z.table(z.literals[:], literalBits, lengths[:literals], literalEntries[:]) ||
		!z.table(z.distances[:], distanceBits, lengths[literals:], distanceEntries[:]) {
		return errInflateData
	}
	return nil
}

// table builds a table out of the lengths of the codes. It fails if they are no complete set
// of codes; only a single code of one bit, or none at all, need not be one.
func (z *bytesInflater) table(table []uint32, first uint, lengths []uint8, entries []uint32) bool {
	var counts, starts [maxCode + 1]int
	for _, n := range lengths {
		counts[n]++
	}
	counts[0] = 0
	left, used := 1, 0
	for n := 1; n <= maxCode; n++ {
		starts[n] = used
		used += counts[n]
		left = left<<1 - counts[n]
		if left < 0 {
			return false
		}
	}
	if left > 0 {
		if used > 1 || used == 1 && (counts[1] != 1 || first == lengthBits) || used == 0 && first == lengthBits {
			return false
		}
		clear(table[:1<<first])
	}
	for symbol, n := range lengths {
		if n > 0 {
			z.sorted[starts[n]] = uint16(symbol)
			starts[n]++
		}
	}

	// Codes are read from their highest bit, which comes first in the stream: reversed,
	// they count up at their upper end. What is filled for codes of up to n bits is
	// doubled for those of n+1.
	code, filled, next := uint32(0), 1, 0
	n := uint(1)
	for ; n <= first; n++ {
		copy(table[filled:2*filled], table[:filled])
		filled *= 2
		for range counts[n] {
			symbol := z.sorted[next]
			next++
			table[code] = entry(entries, symbol, n)
			code = increment(code, n)
		}
	}
	free := 1 << first
	for prefix, bitsOfTable := ^uint32(0), uint(0); n <= maxCode; n++ {
		for i := range counts[n] {
			if at := code & (1<<first - 1); at != prefix {
				// The table must have room for all codes that begin alike.
				prefix, bitsOfTable = at, n-first
				for room := counts[n] - i; room < 1<<bitsOfTable && first+bitsOfTable < maxCode; {
					bitsOfTable++
					room = room<<1 + counts[first+bitsOfTable]
				}
				table[prefix] = uint32(free)<<16 | entryMore | uint32(bitsOfTable)<<8 | uint32(first)
				free += 1 << bitsOfTable
			}
			symbol := z.sorted[next]
			next++
			e := entry(entries, symbol, n)
			start := int(table[prefix] >> 16)
			for at := int(code >> first); at < 1<<bitsOfTable; at += 1 << (n - first) {
				table[start+at] = e
			}
			code = increment(code, n)
		}
	}
	return true
}

// entry is what a table holds for a symbol whose code has n bits; none if the symbol means
// nothing.
func entry(entries []uint32, symbol uint16, n uint) uint32 {
	if e := entries[symbol]; e != 0 || len(entries) == len(lengthEntries) {
		return e | uint32(n)
	}
	return 0
}

// increment returns the code that follows one of n bits, both reversed.
func increment(code uint32, n uint) uint32 {
	zeros := ^code & (1<<n - 1)
	if zeros == 0 {
		return 0
	}
	highest := uint32(1) << (bits.Len32(zeros) - 1)
	return code&(highest-1) | highest
}

// block reads a compressed block. Its loop keeps what it works with in registers.
func (z *bytesInflater) block(literals *[2048]uint32, distances *[512]uint32) error {
	in, next, bits, held := z.in, z.next, z.bits, z.held
	out, written := z.out, z.written
	for {
		if len(in)-next >= 8 {
			bits |= binary.LittleEndian.Uint64(in[next:]) << (held & 63)
			next += int(63-held) >> 3
			held |= 56
		} else {
			for ; held < 56 && next < len(in); next++ {
				bits |= uint64(in[next]) << (held & 63)
				held += 8
			}
		}
		e := literals[bits&(1<<literalBits-1)]
		if e&entryMore != 0 {
			e = literals[(e>>16+uint32(bits>>literalBits)&(1<<(e>>8&15)-1))&2047]
		}
		n := uint(e & 0xff)
		if n > held {
			return errInflateShort
		}
		bits >>= n & 63
		held -= n
		if e&entryLiteral != 0 {
			if written >= len(out) {
				return errInflateLong
			}
			out[written] = byte(e >> 16)
			written++
			// There are bits enough for another one, and most often it is one.
			e = literals[bits&(1<<literalBits-1)]
			if n = uint(e & 0xff); e&entryLiteral != 0 && n <= held && written < len(out) {
				out[written] = byte(e >> 16)
				written++
				bits >>= n & 63
				held -= n
			}
			continue
		}
		if e&entryEnd != 0 {
			z.next, z.bits, z.held, z.written = next, bits, held, written
			return nil
		}
		if e == 0 {
			return errInflateData
		}
		extra := uint(e >> 8 & 15)
		length := int(e>>16) + int(bits&(1<<extra-1))
		bits >>= extra
		if held < extra {
			return errInflateShort
		}
		held -= extra

		e = distances[bits&(1<<distanceBits-1)]
		if e&entryMore != 0 {
			e = distances[(e>>16+uint32(bits>>distanceBits)&(1<<(e>>8&15)-1))&511]
		}
		if e == 0 {
			return errInflateData
		}
		n, extra = uint(e&0xff), uint(e>>8&15)
		if held < n+extra {
			return errInflateShort
		}
		distance := int(e>>16) + int(bits>>(n&63)&(1<<extra-1))
		bits >>= (n + extra) & 63
		held -= n + extra

		from := written - distance
		end := written + length
		switch {
		case from < 0:
			return errInflateData
		case end > len(out):
			return errInflateLong
		case distance >= 8 && len(out)-end >= 8:
			// Words, of which the last may write over what comes next.
			for written < end {
				binary.LittleEndian.PutUint64(out[written:], binary.LittleEndian.Uint64(out[from:]))
				written += 8
				from += 8
			}
			written = end
		case distance >= length:
			written += copy(out[written:end], out[from:])
		default:
			for written < end { // doubles what repeats
				written += copy(out[written:end], out[from:written])
			}
		}
	}
}
