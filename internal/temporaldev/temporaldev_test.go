package temporaldev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// parentEnv makes TestParentDeath's child start a server instead of running a test.
const parentEnv = "PERDURE_TEST_TEMPORALDEV_PARENT"

func testOptions(tb testing.TB) Options {
	return Options{Listen: "127.0.0.1:0", UI: "off", Log: tb.Output(), Progress: os.Stderr}
}

func start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	s, err := Start(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Kill)
	return s
}

func dial(tb testing.TB, address string) client.Client {
	tb.Helper()
	c, err := client.DialContext(tb.Context(), client.Options{HostPort: address})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// eventually waits until condition returns nil; it fails the test with the last error after longer than a start may take.
func eventually(tb testing.TB, condition func() error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout+30*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatal(err)
		case <-ticker.C:
		}
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	opts := testOptions(t)
	opts.UI = "127.0.0.1:0"
	s := start(t, opts)

	if _, err := dial(t, s.Address).CheckHealth(t.Context(), nil); err != nil {
		t.Errorf("health: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.UI+"/api/v1/namespaces/default", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("web UI: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"2592000s"`) {
		t.Errorf("web UI: got %s %s, want 200 and a retention of 30 days", resp.Status, body)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
}

func TestKilledServerKeepsResults(t *testing.T) {
	t.Parallel()
	opts := testOptions(t)
	opts.DB = filepath.Join(t.TempDir(), "odd ?#% name.db")
	s := start(t, opts)

	c := dial(t, s.Address)
	w := worker.New(c, "greetings", worker.Options{})
	greet := func(_ workflow.Context, name string) (string, error) { return "hello " + name, nil }
	w.RegisterWorkflowWithOptions(greet, workflow.RegisterOptions{Name: "greet"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "greeting", TaskQueue: "greetings"}, "greet", "world")
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	w.Stop()
	s.Kill()
	if s.Wait() == nil {
		t.Error("Wait: got nil for a killed server")
	}

	again, err := s.Restart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Kill)
	if again.Address != s.Address {
		t.Errorf("address: got %s, want %s again", again.Address, s.Address)
	}
	if err := dial(t, again.Address).GetWorkflow(t.Context(), "greeting", "").Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if got != "hello world" {
		t.Errorf("result: got %q", got)
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	address := taken.Addr().String()
	running := testOptions(t)
	running.DB = filepath.Join(t.TempDir(), "temporal.db")
	start(t, running)

	tests := []struct {
		name string
		opts Options
		want []string
	}{
		{"port taken", Options{Listen: address, UI: "off"}, []string{"--listen", address, "taken"}},
		{"UI port taken", Options{Listen: "127.0.0.1:0", UI: address}, []string{"--ui", address, "taken"}},
		{"file in use", running, []string{"--db", running.DB, "in use"}},
		{"no such program", Options{Binary: filepath.Join(t.TempDir(), "none")}, []string{"run the Temporal server"}},
		{"ends silently", Options{Binary: "/bin/true"}, []string{"exit status 0"}},
		{"another program", Options{Binary: "/bin/echo"}, []string{"/bin/echo", "ready line"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Start(t.Context(), tt.opts)
			if err == nil {
				s.Kill()
				t.Fatal("started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to contain %q", err, want)
				}
			}
		})
	}
}

func TestStartCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("changed my mind")
	log := writerFunc(func([]byte) { cancel(cause) })
	if _, err := Start(ctx, Options{Binary: "testdata/never-ready.sh", Log: log}); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}

func TestParentDeath(t *testing.T) {
	if os.Getenv(parentEnv) != "" {
		s, err := Start(t.Context(), testOptions(t))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("address", s.Address)
		_ = s.Wait() // until we are killed
		return
	}
	t.Parallel()

	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestParentDeath$")
	parent.Env = append(os.Environ(), parentEnv+"=1")
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	for lines := bufio.NewScanner(stdout); address == "" && lines.Scan(); {
		address, _ = strings.CutPrefix(lines.Text(), "address ")
	}
	if _, err := dial(t, address).CheckHealth(t.Context(), nil); err != nil {
		t.Fatalf("before the parent's death: %v", err)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()

	eventually(t, func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil
		}
		_ = conn.Close()
		return errors.New("the server outlives its parent")
	})
}
