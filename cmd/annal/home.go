package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockHome makes the local home this node's own until the process ends.
func lockHome(dir string) (*os.File, error) {
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
