package e2e

import "syscall"

// dieWithParent makes a child end when the test process is killed, which runs no clean-up.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
