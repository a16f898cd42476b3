package localpostgres

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ulikunitz/xz"
)

// The build that is downloaded when the machine has none: the relocatable
// PostgreSQL archives that the zonky.io project publishes on Maven Central.
const (
	downloadVersion = "17.11.0"
	downloadMajor   = 17
	downloadBase    = "https://repo1.maven.org/maven2/io/zonky/test/postgres/"
	downloadLimit   = 64 << 20  // bytes of the archive
	unpackedLimit   = 512 << 20 // bytes of all files in it
	downloadTimeout = 5 * time.Minute
)

// downloadSums pins the SHA-256 of each platform's archive, so that a changed
// archive is refused whatever the server says.
var downloadSums = map[string]string{
	"linux-amd64":    "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d",
	"linux-arm64v8":  "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b",
	"darwin-amd64":   "d464ff178e9860ba204662ac23fa547504b7fd392392ff2fb92e3fd73b5bdb64",
	"darwin-arm64v8": "a1c2786acb0c398f9b2d76806fc52f5dc8b222cbc8e9383a9b9702084daaf3a5",
}

// download fetches, checks and unpacks PostgreSQL into dir, which appears whole or
// not at all.
func download(ctx context.Context, dir string) error {
	platform := runtime.GOOS + "-" + runtime.GOARCH
	if runtime.GOARCH == "arm64" {
		platform += "v8"
	}
	sum, ok := downloadSums[platform]
	if !ok {
		return fmt.Errorf("no build for %s", platform)
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	name := "embedded-postgres-binaries-" + platform
	archive, err := fetch(ctx, downloadBase+name+"/"+downloadVersion+"/"+name+"-"+downloadVersion+".jar", sum)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".partial-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(partial) }()
	if err := unpack(archive, partial); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(partial, dir)
}

func fetch(ctx context.Context, url, sum string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, downloadLimit+1))
	if err != nil {
		return nil, err
	}
	if len(body) > downloadLimit {
		return nil, fmt.Errorf("%s is larger than %d MiB", url, downloadLimit>>20)
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("%s has the SHA-256 %x, expected %s", url, got, sum)
	}
	return body, nil
}

// unpack writes the files of the .txz inside the jar below dir.
func unpack(jar []byte, dir string) error {
	outer, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		return err
	}
	for _, file := range outer.File {
		if !strings.HasSuffix(file.Name, ".txz") {
			continue
		}
		compressed, err := file.Open()
		if err != nil {
			return err
		}
		defer func() { _ = compressed.Close() }()
		inflated, err := xz.NewReader(compressed)
		if err != nil {
			return err
		}
		return untar(tar.NewReader(io.LimitReader(inflated, unpackedLimit)), dir)
	}
	return errors.New("the archive holds no .txz")
}

func untar(archive *tar.Reader, dir string) error {
	root, err := os.OpenRoot(dir) // names and links cannot lead out of it
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(header.Linkname, name)
		case tar.TypeReg:
			err = untarFile(root, name, archive, header.FileInfo().Mode().Perm())
		}
		if err != nil {
			return err
		}
	}
}

func untarFile(root *os.Root, name string, content io.Reader, mode os.FileMode) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o444)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
