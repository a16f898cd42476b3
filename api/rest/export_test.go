package rest

import (
	"bufio"
	"strings"
)

// CheckJSON is exported for its fuzz test.
var CheckJSON = checkJSON

// LinesOf yields the lines that browse shows of a text, and whether each was cut.
func LinesOf(text string) func(yield func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		r := bufio.NewReaderSize(strings.NewReader(text), binaryDetected)
		for {
			line, ok, err := readLine(r)
			if err != nil || !ok || !yield(line.Text, line.Truncated) {
				return
			}
		}
	}
}
