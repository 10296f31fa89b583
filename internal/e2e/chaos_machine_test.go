package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"perdure/internal/events/eventstest"
	"perdure/internal/temporaldev"
	"perdure/internal/temporaldev/temporaldevtest"
)

// natsEnv makes the test binary a NATS server and nothing else: the directory of its files, a bar, and its port.
const natsEnv = "E2E_NATS"

var natsAddress = regexp.MustCompile(`nats at nats://127\.0\.0\.1:(\d+)`)

// serveNATS is the whole of such a process. It ends with its parent, or when it is told to.
func serveNATS(setting string) error {
	dir, port, _ := strings.Cut(setting, "|")
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	server, err := eventstest.StartOn(dir, number)
	if err != nil {
		return err
	}
	defer server.Stop()
	fmt.Println("nats at", server.URL())
	<-told
	return nil
}

// part is a part of the system that can be killed: the process that runs now, and how to start the next one.
type part struct {
	name  string // for example worker-2
	kind  string // for example worker
	start func(context.Context) (running, error)

	mu      sync.Mutex
	running running // nil while it is away
	deaths  int
}

// running is a process of a part: a [process], or a Temporal server.
type running interface {
	kill()
	// gone is closed when the process has ended.
	gone() <-chan struct{}
	wrote() []byte
}

func (p *process) gone() <-chan struct{} { return p.ended }
func (p *process) wrote() []byte         { return p.output.since(0) }

// temporalProcess is a Temporal server.
type temporalProcess struct {
	*temporaldev.Server
	log  *output
	done chan struct{}
}

func newTemporalProcess(s *temporaldev.Server, log *output) *temporalProcess {
	p := &temporalProcess{s, log, make(chan struct{})}
	go func() {
		_ = s.Wait() // why it has ended is in its log
		close(p.done)
	}()
	return p
}

func (p *temporalProcess) kill()                 { p.Kill() }
func (p *temporalProcess) gone() <-chan struct{} { return p.done }
func (p *temporalProcess) wrote() []byte         { return p.log.since(0) }

// machine is all processes of a system: two workers, two starters, the event log and Temporal.
type machine struct {
	stack *stack
	parts []*part

	mu       sync.Mutex
	starters map[string]string // URLs by name
	logs     []processLog
	failed   []error
}

// processLog is a process that has run or runs.
type processLog struct {
	name string
	running
}

// newMachine starts everything. It is stopped when the test ends, however it ends.
func newMachine(t *testing.T, model, settings string) *machine {
	t.Helper()
	m := &machine{starters: map[string]string{}}
	t.Cleanup(m.stop)
	dir := t.TempDir()
	launch := func(p *part) running {
		t.Helper()
		m.parts = append(m.parts, p)
		if err := m.launch(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return p.running
	}
	temporal := launch(temporalPart(t, dir)).(*temporalProcess)
	nats := natsAddress.FindSubmatch(launch(natsPart(t, dir)).wrote())
	var err error
	m.stack, err = prepareStack(stackOptions{
		Temporal: temporal.Address, Model: model, Events: "nats://127.0.0.1:" + string(nats[1]), Settings: settings,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.stack.close(); err != nil {
			t.Error(err)
		}
	})
	for n := 1; n <= 2; n++ {
		launch(m.workerPart(n))
		launch(m.starterPart(n))
	}
	return m
}

func (m *machine) workerPart(n int) *part {
	return &part{name: fmt.Sprint("worker-", n), kind: "worker", start: func(context.Context) (running, error) {
		return startPerdure(m.stack.env(), "worker")
	}}
}

// starterPart is a starter, which has a new address with each start.
func (m *machine) starterPart(n int) *part {
	name := fmt.Sprint("starter-", n)
	return &part{name: name, kind: "starter", start: func(ctx context.Context) (running, error) {
		p, err := startPerdure(m.stack.env(), "starter", "--http", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		match, err := p.await(ctx, listening)
		if err != nil {
			p.kill()
			return nil, err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.starters[name] = "http://" + match[1]
		return p, nil
	}}
}

// natsPart is a server in a process of its own. All starts are at the same port.
func natsPart(t *testing.T, dir string) *part {
	setting := fmt.Sprintf("%s=%s|%d", natsEnv, filepath.Join(dir, "nats"), freePort(t))
	return &part{name: "nats", kind: "nats", start: func(ctx context.Context) (running, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		p, err := startProcess("nats", self, []string{setting})
		if err != nil {
			return nil, err
		}
		if _, err := p.await(ctx, natsAddress); err != nil {
			p.kill()
			return nil, err
		}
		return p, nil
	}}
}

func temporalPart(t *testing.T, dir string) *part {
	log := newOutput()
	var latest *temporaldev.Server
	return &part{name: "temporal", kind: "temporal", start: func(ctx context.Context) (running, error) {
		if latest == nil {
			latest = temporaldevtest.StartIn(t, dir, log, "")
			return newTemporalProcess(latest, log), nil
		}
		next, err := latest.Restart(ctx)
		if err != nil {
			return nil, err
		}
		latest = next
		return newTemporalProcess(next, log), nil
	}}
}

// launch starts a part and watches that its process does not end by itself: nothing may need a hand to come back.
func (m *machine) launch(ctx context.Context, p *part) error {
	next, err := p.start(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.mu.Lock()
	p.running = next
	name := fmt.Sprint(p.name, ".", p.deaths)
	p.mu.Unlock()
	m.mu.Lock()
	m.logs = append(m.logs, processLog{name, next})
	m.mu.Unlock()
	go func() {
		<-next.gone()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.running == next { // nobody has killed it
			m.fail(fmt.Errorf("%s ended by itself\n%s", name, tail(next.wrote())))
		}
	}()
	return nil
}

// kill kills a part and reports whether it was there.
func (p *part) kill() bool {
	p.mu.Lock()
	victim := p.running
	p.running = nil
	if victim != nil {
		p.deaths++
	}
	p.mu.Unlock()
	if victim == nil {
		return false
	}
	victim.kill()
	return true
}

func (p *part) up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running != nil
}

// allUp lists the parts that are there.
func (m *machine) allUp() []*part {
	return slices.DeleteFunc(slices.Clone(m.parts), func(p *part) bool { return !p.up() })
}

func (m *machine) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = append(m.failed, err)
}

// stop ends everything that runs.
func (m *machine) stop() {
	for _, p := range m.parts {
		p.kill()
	}
}

// urls lists where starters are, or were.
func (m *machine) urls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var urls []string
	for _, url := range m.starters {
		urls = append(urls, url)
	}
	return urls
}

// starter picks a starter, which may be dead, as a load balancer does that has not noticed yet.
func (m *machine) starter() string {
	urls := m.urls()
	return urls[rand.IntN(len(urls))]
}

// tail is the end of a log.
func tail(log []byte) []byte {
	const most = 8 << 10
	return log[max(0, len(log)-most):]
}
