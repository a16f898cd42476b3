package canonical_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/canonical"
)

// general is the slow way to canonical JSON.
func general(t interface{ Fatal(...any) }, v any) string {
	plain, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jcs.Transform(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	every := make([]byte, 0, 256)
	for c := range 256 {
		every = append(every, byte(c))
	}
	for _, s := range []string{
		"", "plain", `"\/`, "a\x00b\x1f\x7f", "<>&", "\u2028\u2029", "é漢\U0001F600", "\xff", "a\xc3", "\xed\xa0\x80", "\ufffd", "\xf0\x9f\x98", string(every),
	} {
		if got, want := string(canonical.AppendString(nil, s)), general(t, s); got != want {
			t.Errorf("%q is %s, want %s", s, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		if got, want := string(canonical.AppendString(nil, s)), general(t, s); got != want {
			t.Fatalf("%q is %s, want %s", s, got, want)
		}
	})
}

func TestAppendInt(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 1, -1, 1<<53 - 1, 1 << 53, 1<<53 + 1, -1<<53 - 1, 1e18, math.MaxInt64, math.MinInt64} {
		if got, want := string(canonical.AppendInt(nil, n)), general(t, n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		if got, want := string(canonical.AppendInt(nil, n)), general(t, n); got != want {
			t.Fatalf("%d is %s, want %s", n, got, want)
		}
	})
}

// What was appended is read back.
func TestReader(t *testing.T) {
	t.Parallel()
	b := canonical.AppendInt(canonical.AppendName([]byte(`{`), "n"), -42)
	b = canonical.AppendString(canonical.AppendName(b, "s"), "é")
	b = append(canonical.AppendHex(canonical.AppendName(b, "x"), []byte{0, 0xab}), '}')
	if string(b) != `{"n":-42,"s":"é","x":"00ab"}` {
		t.Fatalf("appended %s", b)
	}
	r := canonical.NewReader(b)
	r.Expect(`{`)
	if r.Name("a") || !r.Name("n") {
		t.Error("n must come first")
	}
	if n := r.Int(); n != -42 {
		t.Errorf("n is %d", n)
	}
	r.ExpectName("s")
	if s := r.String(); s != "é" {
		t.Errorf("s is %q", s)
	}
	var x [2]byte
	r.ExpectName("x")
	r.Hex(x[:])
	if x != [2]byte{0, 0xab} {
		t.Errorf("x is %v", x)
	}
	if r.Done() {
		t.Error("done before the end")
	}
	r.Expect(`}`)
	if !r.Done() || r.Failed() {
		t.Error("not done at the end")
	}
}

// What is spelled in another way fails, and so does everything after it.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	number := func(r *canonical.Reader) { r.Int() }
	text := func(r *canonical.Reader) { _ = r.String() }
	digits := func(r *canonical.Reader) { r.Hex(make([]byte, 2)) }
	for _, c := range []struct {
		data string
		read func(*canonical.Reader)
	}{
		{``, number}, {`-`, number}, {`00`, number}, {`01`, number}, {`-0`, number}, {`x`, number}, {`1000000000000000`, number}, {`1.0`, number}, {`1e3`, number},
		{``, text}, {`x`, text}, {`"`, text}, {`"a`, text}, {`"\u0041"`, text}, {"\"\n\"", text}, {"\"\xff\"", text}, {`"a"b`, text},
		{``, digits}, {`"00ab`, digits}, {`"00AB"`, digits}, {`"00a"`, digits}, {`"00abc"`, digits}, {`"0g00"`, digits}, {`00abcd`, digits},
		{`"n":1`, func(r *canonical.Reader) { r.ExpectName("m") }},
		{`1"n":`, func(r *canonical.Reader) { r.Int(); r.ExpectName("n") }},
		{`{,"n":`, func(r *canonical.Reader) { r.Expect(`{`); r.ExpectName("n") }},
		{`{"n"`, func(r *canonical.Reader) { r.Expect(`{`); r.ExpectName("n") }},
	} {
		r := canonical.NewReader([]byte(c.data))
		if c.read(&r); r.Done() {
			t.Errorf("%q is read", c.data)
		}
	}
}
