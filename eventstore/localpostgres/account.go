package localpostgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is whom the server runs as when this process is root; nil means "as
// ourselves".
type account struct {
	name     string
	uid, gid uint32
}

// unprivileged picks the account: ourselves, or if we are root the system's
// postgres or nobody.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root and this machine has no user postgres or nobody to run it as; start Annal as an ordinary user or give --database-url")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// reaches checks that the account can enter every folder above dir.
func (a *account) reaches(dir string) error {
	if a == nil {
		return nil
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		mode := info.Mode().Perm()
		if ok && mode&0o001 == 0 && (stat.Gid != a.gid || mode&0o010 == 0) && (stat.Uid != a.uid || mode&0o100 == 0) {
			return fmt.Errorf("the embedded database runs as user %s, who cannot enter %s: choose another --home, or allow it with chmod o+x", a.name, parent)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}
