package ssh

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// hostRSABits is what ssh-keygen makes.
const hostRSABits = 3072

var hostKeyFiles = []struct {
	name     string
	generate func() (any, error)
}{
	{"ssh_host_ed25519_key", func() (any, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err }},
	{"ssh_host_ecdsa_key", func() (any, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	{"ssh_host_rsa_key", func() (any, error) { return rsa.GenerateKey(rand.Reader, hostRSABits) }},
}

// HostKeys loads the keys by which all nodes are known to clients from a folder of the shared
// home, and makes those that are not there: an Ed25519, an ECDSA and an RSA key, in the form
// of ssh-keygen, in that order. Of two nodes that do so at once, one makes a key and both
// load it. A file that others may read is an error.
func HostKeys(dir string) ([]ssh.Signer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ssh host keys: %w", err)
	}
	var signers []ssh.Signer
	for _, key := range hostKeyFiles {
		file := filepath.Join(dir, key.name)
		signer, err := loadHostKey(file)
		if errors.Is(err, fs.ErrNotExist) {
			if err = makeHostKey(file, key.generate); err == nil {
				signer, err = loadHostKey(file)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("ssh host key %s: %w", file, err)
		}
		signers = append(signers, signer)
	}
	return signers, nil
}

func loadHostKey(file string) (ssh.Signer, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, errors.New("others may read it: chmod it to 600, or better make another")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return signer, nil
	}
	// Without ssh-rsa, which is SHA-1.
	algorithms, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("it cannot be used with SHA-2")
	}
	return ssh.NewSignerWithAlgorithms(algorithms, []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512})
}

// makeHostKey leaves a key alone that is there meanwhile: a link, unlike a renaming, never
// replaces one.
func makeHostKey(file string, generate func() (any, error)) error {
	key, err := generate()
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(key, "annal")
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(pem.EncodeToMemory(block))
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	folder, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
