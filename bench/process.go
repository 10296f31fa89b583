package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What a process uses is in /proc, so that these figures need Linux.

// usage is the processor time that was used.
type usage struct{ product, temporal, bench time.Duration }

func (u usage) minus(v usage) usage {
	return usage{u.product - v.product, u.temporal - v.temporal, u.bench - v.bench}
}

// usage returns what the product, the Temporal server that it has started, and this process have used.
func (p *perdure) usage() (usage, error) {
	var u usage
	var err error
	if u.product, _, err = processorTime(strconv.Itoa(p.cmd.Process.Pid)); err != nil {
		return u, err
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return u, err
	}
	for _, process := range all {
		used, parent, err := processorTime(filepath.Base(process))
		if err == nil && parent == p.cmd.Process.Pid { // a process may have ended
			u.temporal += used
		}
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return u, err
	}
	u.bench = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	return u, nil
}

// tick is the unit of times in /proc.
const tick = 10 * time.Millisecond

func processorTime(pid string) (used time.Duration, parent int, err error) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The name, in parentheses, may contain spaces. After it: state, parent, …; the 12th and 13th are user and system time.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("/proc/%s/stat has %d fields", pid, len(fields))
	}
	var n [3]int
	for i, field := range []string{fields[1], fields[11], fields[12]} {
		if n[i], err = strconv.Atoi(field); err != nil {
			return 0, 0, err
		}
	}
	return time.Duration(n[1]+n[2]) * tick, n[0], nil
}

// resident returns the bytes of memory that the product has in use as the system sees it.
func (p *perdure) resident() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kilobytes int
	_, err = fmt.Sscan(after, &kilobytes)
	return kilobytes << 10, err
}
