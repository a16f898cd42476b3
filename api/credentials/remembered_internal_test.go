package credentials

import (
	"testing"
	"time"
)

func TestRemembered(t *testing.T) {
	now := time.Unix(0, 0)
	r := newRemembered(func() time.Time { return now })
	entry := r.entry(1, 1, "jane", "192.0.2.1", "pw")
	if r.has(entry) {
		t.Fatal("remembered before it was added")
	}
	r.add(entry)
	for range 2 {
		if !r.has(entry) {
			t.Fatalf("forgotten at %v", now)
		}
		now = now.Add(rememberFor/2 - time.Second)
	}
	now = now.Add(rememberFor)
	if r.has(entry) {
		t.Error("remembered for too long")
	}
	for _, other := range [][32]byte{
		r.entry(1, 2, "jane", "192.0.2.1", "pw"), r.entry(2, 1, "jane", "192.0.2.1", "pw"), r.entry(1, 1, "jane", "192.0.2.1", "pw2"),
		r.entry(1, 1, "john", "192.0.2.1", "pw"), r.entry(1, 1, "jane", "192.0.2.2", "pw"), r.entry(1, 1, "jane1", "92.0.2.1", "pw"),
	} {
		if other == entry {
			t.Error("different passwords share an entry")
		}
	}
	if r.entry(1, 1, "JANE", "192.0.2.1", "pw") != entry {
		t.Error("a name in another case has another entry")
	}
	for i := range 5 * rememberedPerRound {
		r.add(r.entry(1, int64(i), "", "", ""))
	}
	if len(r.young)+len(r.old) > 2*rememberedPerRound {
		t.Errorf("%d and %d entries", len(r.young), len(r.old))
	}
}

func FuzzDecodeHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, encoded string) {
		p, salt, sum, err := decode(encoded)
		if err == nil && (p.memory > 4*hashMemory || p.time > 10 || len(salt) < 8 || len(sum) > 64) {
			t.Errorf("accepted %q", encoded)
		}
	})
}
