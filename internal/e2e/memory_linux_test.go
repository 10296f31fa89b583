package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
)

var peakLine = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// peakMemory returns the most memory, in bytes, that a process has had since it began or since [forgetPeak].
func (p *process) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	match := peakLine.FindSubmatch(status)
	if match == nil {
		t.Fatalf("no peak in %s", status)
	}
	kB, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// forgetPeak has the peak count from what the process has now.
func (p *process) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}
