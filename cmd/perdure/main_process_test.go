package main

import (
	"os"
	"testing"
)

// commandEnv makes this test binary the command itself, for what only a process of its own shows, such as its signals.
const commandEnv = "PERDURE_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}
