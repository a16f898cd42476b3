package publickey_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/api/publickey"
	"github.com/annal-git/annal/domain"
)

func line(t *testing.T, key any) string {
	t.Helper()
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
}

// wireRSA is an RSA key with whatever numbers.
func wireRSA(e int64, n *big.Int) string {
	return "ssh-rsa " + base64.StdEncoding.EncodeToString(ssh.Marshal(struct {
		Name string
		E, N *big.Int
	}{"ssh-rsa", big.NewInt(e), n}))
}

func odd(bits uint) *big.Int {
	return new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), int(bits-1), 1), 0, 1)
}

func TestParse(t *testing.T) {
	t.Parallel()
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	security := "sk-ssh-ed25519@openssh.com " + base64.StdEncoding.EncodeToString(ssh.Marshal(struct {
		Name        string
		Key         []byte
		Application string
	}{"sk-ssh-ed25519@openssh.com", edwards, "ssh:"}))
	for text, want := range map[string]publickey.Key{
		line(t, edwards) + " ada@laptop, the old one ": {Algorithm: "ED25519", Bits: 256, Comment: "ada@laptop, the old one"},
		"  " + line(t, &curve.PublicKey) + "\n":        {Algorithm: "ECDSA", Bits: 384},
		security:                                       {Algorithm: "ED25519_SK", Bits: 256},
		wireRSA(65537, odd(2048)):                      {Algorithm: "RSA", Bits: 2048},
		wireRSA(65537, odd(8192)) + " big":             {Algorithm: "RSA", Bits: 8192, Comment: "big"},
	} {
		key, err := publickey.Parse(text)
		if err != nil || key.Algorithm != want.Algorithm || key.Bits != want.Bits || key.Comment != want.Comment {
			t.Errorf("%.60q: %+v, %v", text, key, err)
			continue
		}
		again, err := publickey.Parse(publickey.Text(key.Wire, key.Comment))
		if err != nil || string(again.Wire) != string(key.Wire) || !strings.HasPrefix(publickey.Fingerprint(key.Wire), "SHA256:") {
			t.Errorf("read back: %+v, %v", again, err)
		}
	}
}

// K3: what is no sound key is refused, and soon.
func TestUnsoundKeys(t *testing.T) {
	t.Parallel()
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sound := line(t, edwards)
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ssh.NewSignerFromKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := ssh.NewPublicKey(edwards)
	certificate := &ssh.Certificate{Key: public, CertType: ssh.UserCert, Permissions: ssh.Permissions{CriticalOptions: map[string]string{"force-command": "id"}}}
	if err := certificate.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	dsa := "ssh-dss " + base64.StdEncoding.EncodeToString(ssh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", odd(1024), odd(160), big.NewInt(2), big.NewInt(4)}))
	for name, text := range map[string]string{
		"nothing": " ", "RSA of 1,024 bits": wireRSA(65537, odd(1024)), "RSA of 16,384 bits": wireRSA(65537, odd(16384)), "RSA of 65,536 bits": wireRSA(65537, odd(65536)),
		"e=1": wireRSA(1, odd(2048)), "e=2": wireRSA(2, odd(2048)), "DSA": dsa, "a comment of 1 MiB": sound + " " + strings.Repeat("x", 1<<20),
		"a certificate": string(ssh.MarshalAuthorizedKey(certificate)), "two lines": sound + "\n" + sound, "another name": strings.Replace(sound, "ssh-ed25519", "ssh-rsa", 1),
		"options": `command="id" ` + sound, "no base64": "ssh-ed25519 !!!!", "cut off": sound[:len(sound)-8], "private": "-----BEGIN OPENSSH PRIVATE KEY-----",
		"more behind it": sound[:len(sound)-1] + "AAAA", "a point off the curve": "ecdsa-sha2-nistp256 " + base64.StdEncoding.EncodeToString(ssh.Marshal(struct {
			Name, Curve string
			Point       []byte
		}{"ecdsa-sha2-nistp256", "nistp256", append([]byte{4}, make([]byte, 64)...)})),
	} {
		start := time.Now()
		key, err := publickey.Parse(text)
		var invalid *domain.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "text" {
			t.Errorf("%s: %+v, %v", name, key, err)
		}
		if took := time.Since(start); took > time.Second { // a tenth of it where nothing else is at work
			t.Errorf("%s took %s", name, took)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKjFjYCLJjrIY/jCXPbJ9wd3drcGospvPkKFNZ1ZcacA ada")
	f.Add(wireRSA(3, odd(2048)))
	f.Fuzz(func(t *testing.T, text string) {
		key, err := publickey.Parse(text)
		if err != nil {
			return
		}
		if again, err := publickey.Parse(publickey.Text(key.Wire, "")); err != nil || string(again.Wire) != string(key.Wire) {
			t.Errorf("%q has no one form: %v", text, err)
		}
	})
}
