package secrets

// minKeyword is how long every keyword is at least, in bytes.
const minKeyword = 4

// keywords finds any of a set of words: after each place it knows from two bytes how many
// more can be passed over.
type keywords struct {
	shift [1 << 16]uint8       // by the last two bytes of a window of minKeyword
	words map[uint32][]keyword // by their first minKeyword bytes
}

type keyword struct {
	text string
	rule int
}

func newKeywords(rules []builtin) *keywords {
	k := &keywords{words: map[uint32][]keyword{}}
	for i := range k.shift {
		k.shift[i] = minKeyword - 1
	}
	for i, rule := range rules {
		for _, text := range rule.keywords {
			for end := 2; end <= minKeyword; end++ {
				pair := uint16(text[end-2]) | uint16(text[end-1])<<8
				k.shift[pair] = min(k.shift[pair], uint8(minKeyword-end))
			}
			first := beginning(text)
			k.words[first] = append(k.words[first], keyword{text, i})
		}
	}
	return k
}

func beginning[T string | []byte](text T) uint32 {
	return uint32(text[0]) | uint32(text[1])<<8 | uint32(text[2])<<16 | uint32(text[3])<<24
}

// each calls found with every place where a keyword stands.
func (k *keywords) each(text []byte, found func(at, rule int)) {
	for end := minKeyword; end <= len(text); {
		shift := k.shift[uint16(text[end-2])|uint16(text[end-1])<<8]
		if shift > 0 {
			end += int(shift)
			continue
		}
		at := end - minKeyword
		for _, word := range k.words[beginning(text[at:end])] {
			if len(text)-at >= len(word.text) && string(text[at:at+len(word.text)]) == word.text {
				found(at, word.rule)
			}
		}
		end++
	}
}
