package credentials

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// tokenPrefix tells people and scanners of secrets what they have found.
const tokenPrefix = "annal_"

// tokenBytes is a token's randomness: with 256 bits no slow hash is needed.
const tokenBytes = 32

// NewToken makes a personal access token and the hash to store of it. The token
// itself is shown to its owner once.
func NewToken() (token string, hash []byte) {
	secret := make([]byte, tokenBytes)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	return token, hashToken(token)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// isToken tells a token from a password by its form.
func isToken(s string) bool {
	secret, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok {
		return false
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	return err == nil && len(decoded) == tokenBytes
}
