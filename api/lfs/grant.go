package lfs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
)

// lifetime is how long a grant is good for: long enough for a client to come to the last
// object of its batch.
const lifetime = time.Hour

// operation is what a grant lets its holder do.
type operation string

const (
	download operation = "download"
	upload   operation = "upload"
	verify   operation = "verify" // of what has been uploaded
)

// grant is what a client is handed: a link to one object, or what git-lfs-authenticate gives
// him for a repository. The text of it is in the header that goes with a link.
type grant struct {
	Repository domain.RepositoryID    `json:"r"`
	Operation  operation              `json:"o"`
	OID        string                 `json:"i,omitempty"` // of a link; "" of what goes with a whole repository
	Size       int64                  `json:"s,omitempty"` // of the object, in bytes
	Holder     credentials.Resumption `json:"h"`
	Ends       int64                  `json:"e"` // Unix time
}

// grantPrefix tells grants from tokens, and people and scanners what they have found.
const grantPrefix = "annal-lfs-1."

// signer signs grants and checks them.
type signer struct {
	secret []byte
	now    func() time.Time
}

func (s signer) sign(g grant) string {
	payload, _ := json.Marshal(g) // strings and numbers
	text := grantPrefix + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.mac(text))
}

func (s signer) mac(text string) []byte {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// read returns what a text grants; it is not ok if nobody here has signed it or its time is over.
func (s signer) read(text string) (g grant, ok bool) {
	end := strings.LastIndexByte(text, '.')
	if end < len(grantPrefix) || len(text) > maxGrant {
		return g, false
	}
	encoding := base64.RawURLEncoding.Strict()
	mac, err := encoding.DecodeString(text[end+1:])
	if err != nil || !hmac.Equal(mac, s.mac(text[:end])) {
		return g, false
	}
	payload, err := encoding.DecodeString(text[len(grantPrefix):end])
	if err != nil || json.Unmarshal(payload, &g) != nil {
		return g, false
	}
	return g, s.now().Unix() < g.Ends
}

// maxGrant bounds the text of a grant, in bytes.
const maxGrant = 2048

// grantOf returns the text of the grant in an Authorization header; ok is false for another
// one, or none.
func grantOf(authorization string) (text string, ok bool) {
	scheme, value, _ := strings.Cut(authorization, " ")
	value = strings.TrimSpace(value)
	return value, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(value, grantPrefix)
}

// covers reports whether what goes with a whole repository is good for an operation.
func (g grant) covers(o operation) bool {
	return g.OID == "" && (g.Operation == o || g.Operation == upload)
}
