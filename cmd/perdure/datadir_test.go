package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perdure/internal/demo"
)

func TestAPIKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "api-key")
	first, err := openAPIKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if key := first.Reveal(); !strings.HasPrefix(key, "pd_") || len(key) < 40 {
		t.Errorf("the key has %d characters", len(key))
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	second, err := openAPIKey(path)
	if err != nil || !second.Equal(first) {
		t.Errorf("another key at the second start, error %v", err)
	}
	other, err := openAPIKey(filepath.Join(t.TempDir(), "api-key"))
	if err != nil || other.Equal(first) {
		t.Errorf("the same key in another directory, error %v", err)
	}
}

func TestAPIKeyThatCannotBeRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "api-key")
	if err := os.WriteFile(path, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openAPIKey(path); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("error %v from an empty file", err)
	}
	if _, err := openAPIKey(t.TempDir()); err == nil {
		t.Error("no error from a directory")
	}
}

func TestDataDirIsLocked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state", "perdure")
	unlock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("error %v from a directory in use", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	unlock()
	again, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestDemoKeepsItsAddress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *demo.Server {
		t.Helper()
		server, err := openDemo(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	first := open()
	origin := first.Origin()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open()
	if second.Origin() != origin {
		t.Errorf("the demo moved from %s to %s", origin, second.Origin())
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}

	taken, err := new(net.ListenConfig).Listen(context.Background(), "tcp", strings.TrimPrefix(origin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	third := open()
	defer third.Close()
	if third.Origin() == origin {
		t.Error("two servers at one address")
	}
	// The file has the address that holds from now on.
	if data, err := os.ReadFile(filepath.Join(dir, "demo-address")); err != nil || "http://"+strings.TrimSpace(string(data)) != third.Origin() {
		t.Errorf("the file has %q, error %v", data, err)
	}
}
