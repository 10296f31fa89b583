package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// perdure is a running "perdure dev" with everything embedded, on a new data directory.
type perdure struct {
	dir      string
	cmd      *exec.Cmd
	url      string
	temporal string
	key      string
	body     string
	client   *http.Client
}

const readyTimeout = 30 * time.Second

func startPerdure(ctx context.Context, binary string, up *upstream) (*perdure, error) {
	dir, err := os.MkdirTemp("", "perdure-bench-")
	if err != nil {
		return nil, err
	}
	api, err := freeAddress()
	if err != nil {
		return nil, err
	}
	temporal, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &perdure{
		dir: dir, url: "http://" + api, temporal: temporal, client: &http.Client{Timeout: time.Minute},
		body: fmt.Sprintf(`{"model":"bench/m","input":"When was the lighthouse built?",`+
			`"tools":[{"type":"mcp","server_label":"bench","server_url":"%s/mcp"}]}`, up.origin),
	}
	p.cmd = exec.CommandContext(ctx, binary, "dev", "--data", dir, "--http", api, "--temporal", temporal, "--temporal-ui", "off")
	p.cmd.Env = append(os.Environ(),
		"PERDURE_MODELS_PROVIDERS_BENCH_BASE_URL="+up.origin+"/v1",
		"PERDURE_NETWORK_ALLOW_ORIGINS="+up.origin,
		"PERDURE_LOG_LEVEL=warn",
	)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 30 * time.Second
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.awaitReady(ctx); err != nil {
		p.close()
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(dir, "api-key"))
	p.key = strings.TrimSpace(string(key))
	return p, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (p *perdure) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		if resp, err := p.client.Do(r); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("perdure was not ready in time")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *perdure) close() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}

func (p *perdure) run(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/v1/responses", bytes.NewBufferString(p.body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Status string
		Output []struct{ Type string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || answer.Status != "completed" || len(answer.Output) != 3 {
		return fmt.Errorf("status %d, response %s with %d items", resp.StatusCode, answer.Status, len(answer.Output))
	}
	return nil
}
