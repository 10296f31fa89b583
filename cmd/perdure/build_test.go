package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"

	"perdure/config"
)

func TestBuildID(t *testing.T) {
	t.Parallel()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(program)
	for configured, want := range map[string]string{
		"": "", "v1.2.3": "v1.2.3", config.AutoBuildID: hex.EncodeToString(hash[:6]),
	} {
		c := config.Default().Worker
		if c.BuildID != "" {
			t.Errorf("by default workers have the version %q, want none", c.BuildID)
		}
		c.BuildID = configured
		if got, err := buildID(c); err != nil || got != want {
			t.Errorf("%q makes %q, %v; want %q", configured, got, err, want)
		}
		// What is made of the configuration is something that the configuration accepts.
		c.BuildID = want
		whole := config.Default()
		whole.Worker = c
		if err := whole.Validate(); err != nil {
			t.Error(err)
		}
	}
}
