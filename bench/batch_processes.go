package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/workflows"
)

const benchKey = "pd_key_of_the_bench"

// processes are Temporal, a worker and a starter, each a process of its own, on a new data directory. The event log is in this one.
type processes struct {
	dir      string
	url      string
	address  string // of Temporal
	temporal client.Client
	log      *events.Log
	out      io.WriteCloser
	all      []*measured
}

// measured is a process whose memory and time are looked at.
type measured struct {
	name string
	cmd  *exec.Cmd
}

func startProcesses(ctx context.Context, binary, temporal, model string, concurrency int, log string) (p *processes, err error) {
	p = &processes{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.dir, err = os.MkdirTemp("", "perdure-bench-"); err != nil {
		return p, err
	}
	if p.out, err = os.Create(cmp.Or(log, os.DevNull)); err != nil {
		return p, err
	}
	if p.address, err = freeAddress(); err != nil {
		return p, err
	}
	api, err := freeAddress()
	if err != nil {
		return p, err
	}
	p.url = "http://" + api
	listen, err := p.openEvents(ctx)
	if err != nil {
		return p, err
	}
	args := []string{"--listen", p.address, "--ui", "off", "--db", filepath.Join(p.dir, "temporal.db")}
	for _, k := range workflows.SearchAttributes() {
		args = append(args, "--search-attribute", k.GetName()+"="+k.GetValueType().String())
	}
	if err := p.start(ctx, "Temporal server", temporal, nil, args...); err != nil {
		return p, err
	}
	p.temporal, err = client.NewLazyClient(client.Options{HostPort: p.address, Logger: tlog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return p, err
	}
	if err := p.awaitTemporal(ctx); err != nil {
		return p, err
	}
	env := []string{
		"PERDURE_DATA_DIR=" + filepath.Join(p.dir, "data"), "TEMPORAL_ADDRESS=" + p.address, "PERDURE_EVENTS_URL=nats://" + listen,
		"PERDURE_AUTH_API_KEYS_0_NAME=bench", "PERDURE_AUTH_API_KEYS_0_KEY=" + benchKey,
		"PERDURE_MODELS_PROVIDERS_BENCH_BASE_URL=" + model + "/v1", "PERDURE_NETWORK_ALLOW_ORIGINS=" + model, "PERDURE_LOG_LEVEL=warn",
		"PERDURE_BATCHES_CONCURRENCY=" + strconv.Itoa(concurrency), "PERDURE_BATCHES_TENANT_CONCURRENCY=" + strconv.Itoa(concurrency),
	}
	if err := p.start(ctx, "worker", binary, env, "worker"); err != nil {
		return p, err
	}
	if err := p.start(ctx, "starter", binary, env, "starter", "--http", api); err != nil {
		return p, err
	}
	return p, p.awaitAPI(ctx)
}

// openEvents starts the event log, and returns where it listens.
func (p *processes) openEvents(ctx context.Context) (string, error) {
	listen, err := freeAddress()
	if err != nil {
		return "", err
	}
	blobs, err := blob.Open(blob.Options{Dir: filepath.Join(p.dir, "event-blobs"), CacheBytes: 1 << 20})
	if err != nil {
		return "", err
	}
	p.log, err = events.Connect(ctx, events.Options{
		Dir: filepath.Join(p.dir, "events"), Listen: listen, MaxAge: 24 * time.Hour, Replicas: 1, Blobs: blobs, Logger: slog.New(slog.DiscardHandler),
	})
	return listen, err
}

func (p *processes) start(ctx context.Context, name, binary string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = slices.Concat(os.Environ(), env)
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the %s: %w", name, err)
	}
	p.all = append(p.all, &measured{name, cmd})
	return nil
}

func (p *processes) awaitTemporal(ctx context.Context) error {
	return until(ctx, "Temporal", func(ctx context.Context) bool {
		_, err := p.temporal.CheckHealth(ctx, nil)
		return err == nil
	})
}

func (p *processes) awaitAPI(ctx context.Context) error {
	return until(ctx, "the starter", func(ctx context.Context) bool {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", http.NoBody)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func until(ctx context.Context, what string, ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for !ready(ctx) {
		select {
		case <-ctx.Done():
			return errors.New(what + " was not ready in time")
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// close ends the processes in the opposite order.
func (p *processes) close() {
	if p.temporal != nil {
		p.temporal.Close()
	}
	for _, m := range slices.Backward(p.all) {
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
		_ = m.cmd.Wait()
	}
	if p.log != nil {
		_ = p.log.Close()
	}
	if p.out != nil {
		_ = p.out.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// used is the processor time of each process so far.
func (p *processes) used() []time.Duration {
	used := make([]time.Duration, len(p.all))
	for i, m := range p.all {
		used[i], _, _ = processorTime(strconv.Itoa(m.cmd.Process.Pid)) // one that has ended has used nothing
	}
	return used
}

// memory says how much memory each process had in use at the most.
func (p *processes) memory() string {
	var texts []string
	for _, m := range p.all {
		texts = append(texts, fmt.Sprintf("%s %d MB", m.name, peak(m.cmd.Process.Pid)>>20))
	}
	return strings.Join(texts, ", ")
}

// peak is the most bytes of memory that a process had in use, as the system sees it.
func peak(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int
	_, _ = fmt.Sscan(after, &kilobytes)
	return kilobytes << 10
}

// instantModel is a model that answers at once, and no tools.
type instantModel struct {
	origin string
	server *http.Server
}

func startInstantModel() (*instantModel, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &instantModel{origin: "http://" + l.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		const head = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":`
		_, _ = io.WriteString(w, "data: "+head+`[{"index":0,"delta":{"role":"assistant","content":"good"},"finish_reason":null}]}`+"\n\n"+
			"data: "+head+`[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n"+
			"data: "+head+`[],"usage":{"prompt_tokens":120,"completion_tokens":1,"total_tokens":121}}`+"\n\ndata: [DONE]\n\n")
	})
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go m.server.Serve(l) //nolint:errcheck // it ends with close
	return m, nil
}

func (m *instantModel) close() { m.server.Close() }
