package main

import (
	"testing"

	"perdure/config"
)

// Whatever an operator gives bodies, a starter must have room for what is made of them.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	c := config.Default()
	if got := memoryLimit(c) >> 20; got != 960 {
		t.Errorf("by default the limit is %d MiB, and docs/reliability.md says 960", got)
	}
	more := c
	more.HTTP.BodyMemory += config.MiB
	if got := memoryLimit(more) - memoryLimit(c); got != 3<<20 {
		t.Errorf("a MiB of bodies is given %d bytes", got)
	}
}
