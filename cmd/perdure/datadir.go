package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"perdure/internal/secret"
)

// lockDir makes dir and holds it for this process until unlock: two servers on the same state would fight over it.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another perdure dev uses %s; stop it, or choose another directory with --data", dir)
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}

// openAPIKey reads the key, or makes one at the first start.
func openAPIKey(path string) (secret.String, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		key := strings.TrimSpace(string(data))
		if key == "" {
			return secret.String{}, fmt.Errorf("%s is empty; delete it to get a new API key", path)
		}
		return secret.New(key), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return secret.String{}, err
	}
	key := "pd_" + rand.Text() + rand.Text()
	// The directory is locked, so nobody else is making one.
	return secret.New(key), os.WriteFile(path, []byte(key+"\n"), 0o600)
}

// The demo MCP server keeps its address over restarts, so that a run which was under way finds it again.

func addressFile(dir string) string { return filepath.Join(dir, "demo-address") }

func rememberedAddress(dir string) string {
	data, err := os.ReadFile(addressFile(dir))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func rememberAddress(dir, origin string) {
	if u, err := url.Parse(origin); err == nil {
		// Best effort: without it the next start takes another port.
		_ = os.WriteFile(addressFile(dir), []byte(u.Host+"\n"), 0o600)
	}
}
