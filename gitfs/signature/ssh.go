package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"slices"

	"golang.org/x/crypto/ssh"
)

const (
	sshBegin     = "-----BEGIN SSH SIGNATURE-----"
	sshMagic     = "SSHSIG"
	sshNamespace = "git"
)

// sshSignature is what an armored signature of an SSH key holds behind the magic word.
type sshSignature struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  []byte
	Hash      string
	Signature []byte
}

// sshSigned is what was signed, behind the magic word.
type sshSigned struct {
	Namespace string
	Reserved  []byte
	Hash      string
	Sum       []byte
}

// verifySSH says why an armored signature is not by one of the keys.
func verifySSH(keys [][]byte, payload, signature []byte) (reason string) {
	const unreadable = "its signature cannot be read"
	block, rest := pem.Decode(signature)
	if block == nil || block.Type != "SSH SIGNATURE" || len(bytes.TrimSpace(rest)) > 0 {
		return unreadable
	}
	blob, ok := bytes.CutPrefix(block.Bytes, []byte(sshMagic))
	var s sshSignature
	if !ok || ssh.Unmarshal(blob, &s) != nil || s.Version != 1 {
		return unreadable
	}
	if s.Namespace != sshNamespace {
		return "its signature is not meant for Git"
	}
	if !slices.ContainsFunc(keys, func(key []byte) bool { return bytes.Equal(key, s.PublicKey) }) {
		return "it is signed by a key that its committer has not added"
	}
	key, err := ssh.ParsePublicKey(s.PublicKey)
	if err != nil {
		return unreadable
	}
	var proof ssh.Signature
	if ssh.Unmarshal(s.Signature, &proof) != nil {
		return unreadable
	}
	if proof.Format == ssh.KeyAlgoRSA || proof.Format == "ssh-dss" { // with SHA-1
		return "its signature is of an algorithm that is not safe"
	}
	signed := sshSigned{Namespace: s.Namespace, Reserved: s.Reserved, Hash: s.Hash}
	switch s.Hash {
	case "sha256":
		sum := sha256.Sum256(payload)
		signed.Sum = sum[:]
	case "sha512":
		sum := sha512.Sum512(payload)
		signed.Sum = sum[:]
	default:
		return "its signature is of an algorithm that is not known"
	}
	if key.Verify(append([]byte(sshMagic), ssh.Marshal(signed)...), &proof) != nil {
		return "its signature is wrong"
	}
	return ""
}
