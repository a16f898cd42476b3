package audit

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

// isCanonical is the slow way to find out.
func isCanonical(text []byte) bool {
	made, err := jcs.Transform(text)
	return err == nil && bytes.Equal(made, text)
}

// What a library makes canonical is taken for that, whatever the values are.
func TestScanTakesCanonical(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("\x00\x01\b\t\n\x0b\f\r\x1f \"\\/a<\x7fé漢\ufffd\U0001F600\uffff")), 0, 20, -1))
	number := rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int64(), func(n int64) float64 { return float64(n) }), rapid.Float64Range(-1, 1))
	value := rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return text.Draw(t, "text")
		case 1:
			return number.Draw(t, "number")
		case 2:
			return rapid.Bool().Draw(t, "bool")
		case 3:
			return nil
		case 4:
			return rapid.SliceOfN(number, 0, 4).Draw(t, "list")
		default:
			return rapid.MapOfN(text, text, 0, 4).Draw(t, "object")
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		plain, err := json.Marshal(rapid.MapOfN(text, value, 0, 6).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		made, err := jcs.Transform(plain)
		if err != nil {
			t.Skip(err)
		}
		if end := scanValue(made, 0, 0); end != len(made) {
			t.Fatalf("%q is refused at %d", made, end)
		}
		// One byte changed, it is still the library's word that counts.
		i := rapid.IntRange(0, len(made)-1).Draw(t, "at")
		made[i] = rapid.SampledFrom([]byte(` "\{}[]:,09.-+eEu/n`+"\x00\x1f\x7f\x80\xff")).Draw(t, "byte")
		if scanned := scanValue(made, 0, 0) == len(made); scanned && !isCanonical(made) {
			t.Fatalf("%q is taken", made)
		}
	})
}

// Whatever is taken is canonical by the library's word, too.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{`{}`, `[]`, `{"a":1,"b":[true,null,"x\n"]}`, `-0`, `1e21`, `1.5`, `"\u001f"`, `{"\ud83d\ude00":1}`, "{\"\U0001F600\":1,\"\uffff\":2}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if scanValue(text, 0, 0) != len(text) {
			return
		}
		// The library takes whole documents only.
		wrapped := append(append([]byte(`{"v":`), text...), '}')
		if !isCanonical(wrapped) {
			t.Errorf("%q is taken", text)
		}
	})
}
