//go:build !linux

package e2e

import "testing"

// peakMemory is not known here.
func (p *process) peakMemory(*testing.T) int { return 0 }

func (p *process) forgetPeak(*testing.T) {}
