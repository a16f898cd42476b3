package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// home is the local home of a node, which is this process's own until it ends.
type home struct {
	lock *os.File
	id   uuid.UUID // stays with the folder
}

func (h home) close() { _ = h.lock.Close() }

// lockHome takes a local home. The lock's file holds the id of the home.
func lockHome(dir string) (home, error) {
	lock, err := lockFile(dir)
	if err != nil {
		return home{}, err
	}
	text, err := io.ReadAll(io.LimitReader(lock, 100))
	if err == nil {
		if id, err := uuid.Parse(strings.TrimSpace(string(text))); err == nil {
			return home{lock, id}, nil
		}
		id := uuid.New()
		if _, err = lock.WriteAt([]byte(id.String()+"\n"), 0); err == nil {
			return home{lock, id}, nil
		}
	}
	_ = lock.Close()
	return home{}, fmt.Errorf("home: %w", err)
}

func lockFile(dir string) (*os.File, error) {
	// Others may pass through, as the user of the embedded database has to, and see
	// nothing.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "node.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("another node runs in %s: give each node a --home of its own", dir)
	}
	return nil, fmt.Errorf("home: %w", err)
}
