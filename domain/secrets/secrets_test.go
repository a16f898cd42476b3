package secrets_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/secrets"
)

// random is text of an alphabet that looks like a secret. It is made here, so that this
// file holds none.
func random(n int, alphabet string) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	lower = "abcdefghijklmnopqrstuvwxyz0123456789"
	mixed = upper + "abcdefghijklmnopqrstuvwxyz"
	hex   = "0123456789abcdef"
)

var samples = map[string]string{
	"AWS access key":             "AKIA" + random(16, upper),
	"AWS secret access key":      "aws_secret_access_key = " + random(40, mixed),
	"Google API key":             "AIza" + random(35, mixed),
	"Google OAuth client secret": "GOCSPX-" + random(28, mixed),
	"Google OAuth access token":  "ya29." + random(60, mixed),
	"GitHub token":               "ghp_" + random(36, mixed),
	"GitHub fine-grained token":  "github_pat_" + random(22, mixed) + "_" + random(59, mixed),
	"GitLab token":               "glpat-" + random(20, mixed),
	"Slack token":                "xoxb-" + random(12, "0123456789") + "-" + random(24, mixed),
	"Slack webhook":              "https://hooks.slack.com/services/T" + random(10, upper) + "/B" + random(10, upper) + "/" + random(24, mixed),
	"Stripe key":                 "sk_live_" + random(24, mixed),
	"npm token":                  "npm_" + random(36, mixed),
	"PyPI token":                 "pypi-AgEIcHlwaS5vcmc" + random(80, mixed),
	"Docker Hub token":           "dckr_pat_" + random(27, mixed),
	"DigitalOcean token":         "dop_v1_" + random(64, hex),
	"Shopify token":              "shpat_" + random(32, hex),
	"Azure storage key":          "AccountName=x;AccountKey=" + random(86, mixed) + "==",
	"HashiCorp Vault token":      "hvs." + random(30, mixed),
	"Anthropic key":              "sk-ant-api03-" + random(95, mixed),
	"OpenAI key":                 "sk-proj-" + random(60, mixed),
	"Bitbucket token":            "BBDC-" + random(44, mixed),
	"Annal token":                "annal_" + random(43, mixed),
	"age secret key":             "AGE-SECRET-KEY-1" + random(58, upper),
	"JSON Web Token":             "eyJhbGciOiJIUzI1NiJ9.eyJ" + random(30, mixed) + "." + random(43, mixed),
	"private key":                "-----BEGIN RSA " + "PRIVATE KEY-----\n" + random(64, mixed) + "\n",
}

func scan(t testing.TB, text string, pieces int, patterns ...secrets.Pattern) []string {
	t.Helper()
	s, err := secrets.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	var scanned secrets.Text
	scanned.Reset(s, func(f secrets.Finding, line []byte) {
		if one := fmt.Sprintf("%s@%d", f.Rule, f.Line); !slices.Contains(found, one) {
			found = append(found, one)
		}
	})
	for len(text) > 0 {
		n := min(pieces, len(text))
		_, _ = scanned.Write([]byte(text[:n]))
		text = text[n:]
	}
	scanned.End()
	slices.Sort(found)
	return found
}

func TestEveryBuiltInRule(t *testing.T) {
	t.Parallel()
	for name, secret := range samples {
		want := name + "@3"
		for _, text := range []string{"a\nb\nx = \"" + secret + "\"\nc\n", "a\nb\n" + secret, "\n\n(" + secret + ")"} {
			if found := scan(t, text, 1000); !slices.Contains(found, want) {
				t.Errorf("%s: found %v in %q", name, found, text)
			}
			// Cut off in the middle it is none.
			if name == "private key" || name == "AWS secret access key" || name == "JSON Web Token" {
				continue
			}
			if found := scan(t, text[:len(text)/2-4], 1000); len(found) > 0 {
				t.Errorf("%s: found %v in the half of it", name, found)
			}
		}
	}
	for _, text := range []string{
		"ghp_" + strings.Repeat("x", 36), "AKIAIOSFODNN7EXAMPLE", "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END", "xAKIA" + random(16, upper),
		"AKIA" + random(20, upper), "const header = \"-----BEGIN PRIVATE KEY-----\"\nfunc parse(key string)", "npm_config_registry", "glpat-short", "sk_live_", "annal_events_total", "",
		"-----BEGIN PUBLIC KEY-----\n" + random(64, mixed), "a\x00b " + samples["GitHub token"], // binary
	} {
		if found := scan(t, text, 1000); len(found) > 0 {
			t.Errorf("found %v in %q", found, text)
		}
	}
	inString := `key := "-----BEGIN EC ` + `PRIVATE KEY-----\n" +` + "\n\t\"" + random(64, mixed)
	if found := scan(t, inString, 1000); !slices.Equal(found, []string{"private key@1"}) {
		t.Errorf("found %v in %q", found, inString)
	}
}

// However text is cut into pieces and wherever in a long one a secret stands, it is found,
// at its line.
func TestPiecesAndPlaces(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range samples {
			if !yield(name) {
				return
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "name")
		before := rapid.IntRange(0, 5000).Draw(t, "lines before")
		width := rapid.IntRange(0, 60).Draw(t, "width")
		text := strings.Repeat(strings.Repeat("-", width)+"\n", before) + samples[name] + "\n" + strings.Repeat("x\n", rapid.IntRange(0, 3000).Draw(t, "lines after"))
		pieces := rapid.IntRange(1, 100_000).Draw(t, "pieces")
		if want := fmt.Sprintf("%s@%d", name, before+1); width != 5 && !slices.Contains(quiet(text, pieces), want) {
			t.Fatalf("%s is not found", want)
		}
	})
}

func quiet(text string, pieces int) []string { return scan(nopTB{}, text, pieces) }

// nopTB lets scan be called by rapid, whose T is none of testing's.
type nopTB struct{ testing.TB }

func (nopTB) Helper() {}

func TestRulesOfOnesOwn(t *testing.T) {
	t.Parallel()
	own := []secrets.Pattern{{Name: "tok", Line: `^tok-\d+$`}, {Name: "start", Line: `\Apw=`}}
	text := "a\ntok-12\r\nxtok-3\npw=1\n" + strings.Repeat("y", 20_000) + "tok-4\n"
	if found := scan(t, text, 7, own...); !slices.Equal(found, []string{"start@4", "tok@2"}) {
		t.Errorf("%v", found)
	}
	if _, err := secrets.New([]secrets.Pattern{{Name: "x", Line: "("}}); err == nil {
		t.Error("a pattern that does not compile is taken")
	}
}

// FuzzText looks through anything: what is found is at a line that there is, and a rule
// of one's own finds what its expression finds line by line.
func FuzzText(f *testing.F) {
	for _, secret := range samples {
		f.Add([]byte(secret), 3)
	}
	f.Add([]byte("tok-1\n\n\ntok-2"), 1)
	line := regexp.MustCompile(`tok-\d`)
	s, err := secrets.New([]secrets.Pattern{{Name: "tok", Line: line.String()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte, pieces int) {
		lines := strings.Split(string(text), "\n")
		found := map[int]bool{}
		var scanned secrets.Text
		scanned.Reset(s, func(f secrets.Finding, _ []byte) {
			if f.Line < 1 || f.Line > len(lines) {
				t.Fatalf("line %d of %d", f.Line, len(lines))
			}
			if f.Own == 1 {
				found[f.Line] = true
			}
		})
		for rest := text; len(rest) > 0; {
			n := min(max(pieces, 1), len(rest))
			_, _ = scanned.Write(rest[:n])
			rest = rest[n:]
		}
		scanned.End()
		if len(text) > 4000 || strings.Contains(string(text), "\x00") {
			return
		}
		for n, l := range lines {
			if found[n+1] != line.MatchString(l) {
				t.Errorf("line %d %q is found: %t", n+1, l, found[n+1])
			}
		}
	})
}

func BenchmarkText(b *testing.B) {
	s, err := secrets.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	source := []byte(strings.Repeat("func (t *Text) keep() {\n\tfrom := len(t.buffer) - keptBytes // the end of the buffer\n}\n", 1000))
	b.SetBytes(int64(len(source)))
	var text secrets.Text
	for b.Loop() {
		text.Reset(s, func(secrets.Finding, []byte) {})
		_, _ = text.Write(source)
		text.End()
	}
}
