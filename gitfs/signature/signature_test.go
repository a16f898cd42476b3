package signature_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/signature"
)

// keys are those of one user, ada@example.org.
type keys struct {
	gpg []string
	ssh [][]byte
}

const ada = "ada@example.org"

func (k keys) GPGKeys(_ context.Context, email string) ([]string, error) {
	if email != ada {
		return nil, nil
	}
	return k.gpg, nil
}

func (k keys) SSHKeys(_ context.Context, email string) ([][]byte, error) {
	if email != ada {
		return nil, nil
	}
	return k.ssh, nil
}

func newGPGKey(t testing.TB, config *packet.Config) (*openpgp.Entity, string) {
	t.Helper()
	key, err := openpgp.NewEntity("Ada", "", ada, config)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	w, err := armor.Encode(&text, openpgp.PublicKeyType, nil)
	if err == nil {
		err = errors.Join(key.Serialize(w), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return key, text.String()
}

func signGPG(t testing.TB, key *openpgp.Entity, payload string) []byte {
	t.Helper()
	var signed bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&signed, key, strings.NewReader(payload), nil); err != nil {
		t.Fatal(err)
	}
	return signed.Bytes()
}

func TestGPG(t *testing.T) {
	t.Parallel()
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}
	key, text := newGPGKey(t, config)
	stranger, _ := newGPGKey(t, config)
	old := time.Now().Add(-48 * time.Hour)
	expired, expiredText := newGPGKey(t, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 3600, Time: func() time.Time { return old }})
	var backdated bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&backdated, expired, strings.NewReader("x"), &packet.Config{Time: func() time.Time { return old.Add(time.Minute) }}); err != nil {
		t.Fatal(err)
	}
	good := signGPG(t, key, "x")
	for _, c := range []struct {
		name, payload, email string
		signature            []byte
		want                 string
	}{
		{"right", "x", ada, good, ""},
		{"another payload", "y", ada, good, "wrong"},
		{"somebody else's commit", "x", "eve@example.org", good, "has not added"},
		{"no e-mail", "x", "", good, "has no key"},
		{"a stranger's key", "x", ada, signGPG(t, stranger, "x"), "has not added"},
		{"an expired key", "x", ada, backdated.Bytes(), "expired"},
		{"cut", "x", ada, good[:len(good)/2], "wrong"},
		{"no signature", "x", ada, []byte("hello"), "neither"},
		{"long", "x", ada, bytes.Repeat(good, 1000), "too long"},
	} {
		got, err := signature.NewVerifier(keys{gpg: []string{text, expiredText}}).Verify(t.Context(), []byte(c.payload), c.signature, c.email)
		if err != nil || (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	d, err := signature.Describe(text, time.Now())
	if err != nil || d.Email != ada || len(d.Fingerprint) < 40 || len(d.KeyID) != 16 || !strings.Contains(d.Fingerprint, d.KeyID) || d.Expires != nil {
		t.Errorf("%+v, %v", d, err)
	}
	var private bytes.Buffer
	w, _ := armor.Encode(&private, openpgp.PrivateKeyType, nil)
	if err := errors.Join(key.SerializePrivate(w, nil), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{"empty": "", "private": private.String(), "two": text + text[:0] + strings.Repeat("x", 300<<10), "expired": expiredText, "signature": string(good)} {
		var invalid *domain.InvalidError
		if _, err := signature.Describe(bad, time.Now()); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What git has signed with gpg or with an SSH key is right, and nothing else.
func TestCommitsSignedByGit(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"gpg", "ssh-keygen"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("%s is not installed: signatures of git are not checked", program)
			}
			dir := t.TempDir()
			home, err := os.MkdirTemp("", "gpg") // a socket below it must have a short name
			if err != nil {
				t.Fatal(err)
			}
			env := append(os.Environ(), "HOME="+home, "GNUPGHOME="+home, "GIT_CONFIG_NOSYSTEM=1",
				"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL="+ada, "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL="+ada)
			run := func(name string, args ...string) []byte {
				t.Helper()
				command := exec.CommandContext(t.Context(), name, args...)
				command.Dir, command.Env = dir, env
				var problems bytes.Buffer
				command.Stderr = &problems
				out, err := command.Output()
				if err != nil {
					t.Fatalf("%s %v: %v\n%s", name, args, err, problems.String())
				}
				return out
			}
			t.Cleanup(func() {
				kill := exec.Command("gpgconf", "--kill", "all")
				kill.Env = env
				_ = kill.Run() // the agent of this home, if there is one
				_ = os.RemoveAll(home)
			})
			run("git", "init", "-q")
			var his keys
			if program == "gpg" {
				run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "Ada <"+ada+">", "ed25519", "sign", "never")
				his.gpg = []string{string(run("gpg", "--armor", "--export"))}
			} else {
				file := filepath.Join(dir, "key")
				run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file)
				text, err := os.ReadFile(file + ".pub")
				if err != nil {
					t.Fatal(err)
				}
				key, _, _, _, err := ssh.ParseAuthorizedKey(text)
				if err != nil {
					t.Fatal(err)
				}
				his.ssh = [][]byte{key.Marshal()}
				run("git", "config", "gpg.format", "ssh")
				run("git", "config", "user.signingkey", file)
			}
			run("git", "commit", "-q", "--allow-empty", "-S", "-m", "Signed\n\nwith a body\n\n gpgsig is a word of it")
			commit := run("git", "cat-file", "commit", "HEAD")
			payload, proof := object.Signed(commit)
			if got, err := signature.NewVerifier(his).Verify(t.Context(), payload, proof, strings.ToUpper(ada)); got == "" && err == nil {
				t.Log("the test's keys mind the case of the address")
			}
			if got, err := signature.NewVerifier(his).Verify(t.Context(), payload, proof, ada); got != "" || err != nil {
				t.Errorf("%q, %v\n%s", got, err, commit)
			}
			if got, _ := signature.NewVerifier(keys{}).Verify(t.Context(), payload, proof, ada); !strings.Contains(got, "has not added") {
				t.Errorf("without keys: %q", got)
			}
			if got, _ := signature.NewVerifier(his).Verify(t.Context(), bytes.Replace(payload, []byte("Signed"), []byte("Forged"), 1), proof, ada); got != "its signature is wrong" {
				t.Errorf("another message: %q", got)
			}
			run("git", "commit", "-q", "--allow-empty", "-m", "Not signed")
			if _, proof := object.Signed(run("git", "cat-file", "commit", "HEAD")); proof != nil {
				t.Errorf("a signature of none: %s", proof)
			}
		})
	}
}

func sshSign(t testing.TB, key ssh.Signer, payload []byte, namespace, hash string) []byte {
	t.Helper()
	sum := map[string][]byte{"sha512": sha512sum(payload)}[hash]
	proof, err := key.Sign(rand.Reader, append([]byte("SSHSIG"), ssh.Marshal(struct {
		Namespace string
		Reserved  []byte
		Hash      string
		Sum       []byte
	}{namespace, nil, hash, sum})...))
	if err != nil {
		t.Fatal(err)
	}
	blob := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Version   uint32
		Key       []byte
		Namespace string
		Reserved  []byte
		Hash      string
		Signature []byte
	}{1, key.PublicKey().Marshal(), namespace, nil, hash, ssh.Marshal(*proof)})...)
	return pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})
}

func TestSSH(t *testing.T) {
	t.Parallel()
	key, stranger := newSSHKey(t), newSSHKey(t)
	his := keys{ssh: [][]byte{key.PublicKey().Marshal()}}
	for _, c := range []struct {
		name  string
		proof []byte
		want  string
	}{
		{"right", sshSign(t, key, []byte("x"), "git", "sha512"), ""},
		{"made for files", sshSign(t, key, []byte("x"), "file", "sha512"), "not meant for Git"},
		{"another payload", sshSign(t, key, []byte("y"), "git", "sha512"), "wrong"},
		{"a stranger's", sshSign(t, stranger, []byte("x"), "git", "sha512"), "has not added"},
		{"an unknown hash", sshSign(t, key, []byte("x"), "git", "md5"), "not known"},
		{"rubbish", []byte("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----"), "cannot be read"},
	} {
		if got, err := signature.NewVerifier(his).Verify(t.Context(), []byte("x"), c.proof, ada); err != nil || (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// FuzzVerify verifies whatever strangers send as a commit: nothing that was not signed is
// right.
func FuzzVerify(f *testing.F) {
	key, text := newGPGKey(f, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	signer := newSSHKey(f)
	for _, proof := range [][]byte{signGPG(f, key, "tree x\n\nm"), sshSign(f, signer, []byte("tree x\n\nm"), "git", "sha512")} {
		f.Add([]byte("tree x\ngpgsig " + strings.ReplaceAll(strings.TrimSpace(string(proof)), "\n", "\n ") + "\n\nm"))
	}
	f.Add([]byte("gpgsig \n \n\n"))
	verifier := signature.NewVerifier(keys{[]string{text}, [][]byte{signer.PublicKey().Marshal()}})
	f.Fuzz(func(t *testing.T, commit []byte) {
		payload, proof := object.Signed(commit)
		if got, err := verifier.Verify(t.Context(), payload, proof, ada); err != nil || got == "" && string(payload) != "tree x\n\nm" {
			t.Errorf("%q, %v: %q", got, err, payload)
		}
	})
}

func FuzzDescribe(f *testing.F) {
	_, text := newGPGKey(f, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	f.Add(text)
	f.Add(text[:100])
	f.Fuzz(func(t *testing.T, text string) {
		var invalid *domain.InvalidError
		if _, err := signature.Describe(text, time.Unix(1_800_000_000, 0)); err != nil && !errors.As(err, &invalid) {
			t.Errorf("%v is not the user's fault", err)
		}
	})
}
