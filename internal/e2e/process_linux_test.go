package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
)

// dieWithParent makes a child end when the test process is killed, which runs no clean-up.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakMemory is the most memory that the process has had at any time: bytes.
func (p *process) peakMemory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	match := peakLine.FindSubmatch(status)
	if match == nil {
		return 0, fmt.Errorf("no peak of the memory of %s in %s", p.name, status)
	}
	kilobytes, err := strconv.ParseInt(string(match[1]), 10, 64)
	return kilobytes << 10, err
}
