package domain_test

import (
	"strings"
	"testing"

	"github.com/annal-git/annal/domain"
)

func TestCheckText(t *testing.T) {
	for _, text := range []string{"", "plain", "naïve – 漢字", strings.Repeat("é", 10)} {
		if err := domain.CheckText("name", text, 10, false); err != nil && len([]rune(text)) <= 10 {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"a\x00", "a\nb", "a\x1b[31m", "a\u202eb", "\xff", strings.Repeat("a", 11), strings.Repeat("\xff", 1<<20)} {
		if err := domain.CheckText("name", text, 10, false); err == nil {
			t.Errorf("%.20q is accepted", text)
		}
	}
	if err := domain.CheckText("description", "a\r\n\tb", 10, true); err != nil {
		t.Error(err)
	}
}
