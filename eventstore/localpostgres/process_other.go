//go:build !linux

package localpostgres

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}

func lockParentThread(bool) {}

func serves(pid int, _ string) bool { return syscall.Kill(pid, 0) == nil }
