package localpostgres

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// dieWithParent asks the kernel to stop the server when the thread that started
// it ends.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGQUIT }

// lockParentThread keeps that thread alive for as long as its goroutine.
func lockParentThread(scratch bool) {
	if scratch {
		runtime.LockOSThread()
	}
}

// serves reports whether pid is the PostgreSQL of this data folder, and not
// another program that was given the number later: a server works in its data folder.
func serves(pid int, data string) bool {
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && dir == data
}
