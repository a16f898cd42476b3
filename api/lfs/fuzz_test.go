package lfs_test

import (
	"strings"
	"testing"

	"github.com/annal-git/annal/api/lfs"
)

// Whatever a client sends as a batch: what is taken of it can be an object.
func FuzzBatch(f *testing.F) {
	_, oid := content(1)
	for _, seed := range []string{
		`{"operation":"upload","transfers":["basic"],"ref":{"name":"refs/heads/main"},"objects":[{"oid":"` + oid + `","size":6}],"hash_algo":"sha256"}`,
		`{"operation":"download","objects":[{"oid":"../","size":-1},{"oid":null,"size":"6"},{}]}`,
		`{"operation":"download","objects":null,"ref":null}`, `[]`, `{"operation":"upload","objects":[{"size":9223372036854775808}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		oids, sizes, err := lfs.CheckBatch(text, largest)
		if err != nil && len(oids) > 0 || len(oids) > 1000 {
			t.Errorf("%d objects, %v", len(oids), err)
		}
		for i, oid := range oids {
			if len(oid) != 64 || strings.Trim(oid, "0123456789abcdef") != "" || sizes[i] < 0 || sizes[i] > largest {
				t.Errorf("%q of %d bytes is an object", oid, sizes[i])
			}
		}
	})
}

// Nobody makes a grant without the key.
func FuzzGrant(f *testing.F) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	right := lfs.Grant(secret)
	if !lfs.ReadGrant(secret, right) || lfs.ReadGrant([]byte("another"), right) {
		f.Fatal("a grant is not what its key says")
	}
	f.Add(right[:len(right)-1])
	f.Add(right + ".")
	f.Add("annal-lfs-1..")
	f.Fuzz(func(t *testing.T, text string) {
		if text != right && lfs.ReadGrant(secret, text) && !strings.HasPrefix(text, "annal-lfs-1.") {
			t.Errorf("%q is believed", text)
		}
		if lfs.ReadGrant([]byte("another key"), text) {
			t.Errorf("%q is believed by another key", text)
		}
	})
}
