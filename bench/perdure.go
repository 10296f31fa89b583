package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	client   *http.Client
	streams  *http.Client // for what takes long
	memory   *heapLog
}

const readyTimeout = 30 * time.Second

// startPerdure starts the binary with a model and other servers at an origin. It writes its log to the given writer. The settings are
// variables of its environment.
func startPerdure(ctx context.Context, binary, origin string, log io.Writer, settings ...string) (*perdure, error) {
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
	p := &perdure{dir: dir, url: "http://" + api, temporal: temporal, client: &http.Client{Timeout: time.Minute}, streams: &http.Client{}}
	p.cmd = exec.CommandContext(ctx, binary, "dev", "--data", dir, "--http", api, "--temporal", temporal, "--temporal-ui", "off")
	p.cmd.Env = slices.Concat(os.Environ(), []string{
		"PERDURE_MODELS_PROVIDERS_BENCH_BASE_URL=" + origin + "/v1",
		"PERDURE_NETWORK_ALLOW_ORIGINS=" + origin,
		"PERDURE_LOG_LEVEL=warn",
	}, settings)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 30 * time.Second
	p.memory = &heapLog{out: log}
	p.cmd.Stderr = p.memory
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

// request makes a request of the API.
func (p *perdure) request(ctx context.Context, method, path, body string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// run makes the run that is measured.
func (p *perdure) run(ctx context.Context, up *upstream) error {
	r, err := p.request(ctx, http.MethodPost, "/v1/responses", fmt.Sprintf(`{"model":"bench/m","input":"When was the lighthouse built?",`+
		`"tools":[{"type":"mcp","server_label":"bench","server_url":"%s/mcp"}]}`, up.origin))
	if err != nil {
		return err
	}
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
