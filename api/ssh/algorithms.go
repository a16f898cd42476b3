package ssh

import "golang.org/x/crypto/ssh"

// What is offered, best first; of the client's list that is the first one that is here, too,
// so the order is for those who ask. Named one by one: what the library adds some day is not
// offered before somebody has looked at it. Left out of what it has are SHA-1, CBC, RC4, 3DES,
// DSA, the MACs that are not encrypt-then-MAC (CVE-2023-48795) and the groups of 2,048 bits.
var (
	keyExchanges = []string{
		ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, "curve25519-sha256@libssh.org",
		ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521, ssh.KeyExchangeDH16SHA512,
	}
	macs           = []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM}
	publicKeyAlgos = []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
	}
)

// Ciphers are those that may be offered, and DefaultCiphers those that are unless somebody
// decides otherwise. The client's order counts: OpenSSH's names ChaCha20-Poly1305 first and then,
// before version 10, AES-CTR, and would get them. The library does without vector instructions
// for the one on amd64, and the other takes a hash besides; either takes a multiple of all the
// rest of a clone. What knows neither of the defaults is old: PuTTY before 0.79, Paramiko before 3.5.
var (
	Ciphers        = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256CTR, ssh.CipherAES128CTR}
	DefaultCiphers = Ciphers[:2]
)
