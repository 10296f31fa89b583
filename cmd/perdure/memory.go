package main

import (
	"os"
	"runtime/debug"

	"perdure/config"
)

const (
	// starterBytes is what a starter needs beside the bodies of requests: thousands of connections, streams and their buffers.
	starterBytes = 128 << 20
	// bytesOfBody is how many bytes of memory each byte of a body is given: the body, what is decoded from it, and what is sent on.
	bytesOfBody = 3
)

// memoryLimit is what a starter needs with as many bodies as it takes on.
func memoryLimit(c config.Config) int64 {
	return starterBytes + blobCacheBytes + bytesOfBody*int64(c.HTTP.BodyMemory)
}

// boundMemory has garbage collected more often, rather than let this process become twice as large as what it holds. GOMEMLIMIT goes
// before.
func boundMemory(c config.Config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit(c))
	}
}
