//go:build !linux

package e2e

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

// peakMemory is known on Linux only. Elsewhere, tests that bound it check what else they check.
func (p *process) peakMemory() (int64, error) { return 0, nil }
