package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"perdure/internal/demo"
	"perdure/internal/secret"
)

// Files of the data directory by which commands on the same machine find a "perdure dev".
const (
	keyFile = "api-key"
	urlFile = "api-url"
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

// openDemo listens where the demo listened before, so that a run which was under way over a restart finds it again. If that
// address is taken, it takes another.
func openDemo(ctx context.Context, dir string) (*demo.Server, error) {
	file := filepath.Join(dir, "demo-address")
	if address, err := os.ReadFile(file); err == nil {
		if server, err := demo.Open(ctx, demo.Options{Addr: strings.TrimSpace(string(address))}); err == nil {
			return server, nil
		}
	}
	server, err := demo.Open(ctx, demo.Options{})
	if err != nil {
		return nil, err
	}
	address := strings.TrimPrefix(server.Origin(), "http://")
	return server, os.WriteFile(file, []byte(address+"\n"), 0o600)
}
