package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"perdure/internal/events/eventstest"
)

const (
	// startTimeout bounds how long a process of ours may take to be ready. The race detector and a busy machine make it slow.
	startTimeout = 30 * time.Second
	// stopTimeout bounds how long one that was told to stop may take. It is longer than every grace that tests configure.
	stopTimeout = 30 * time.Second
	// outputDelay is how long the output of a process that has ended may be held open by children of its own.
	outputDelay = time.Second
)

// suite is what the tests of one run share.
var suite struct {
	dir    string
	models *switchboard
	events *eventstest.Server
	agent  sharedOnce // in the dialect that is the default
	openAI sharedOnce
}

func TestMain(m *testing.M) {
	if setting := os.Getenv(natsEnv); setting != "" {
		if err := serveNATS(setting); err != nil {
			panic(err)
		}
		return
	}
	if err := runSuite(m); err != nil {
		panic(err)
	}
}

// runSuite leaves the exit code to the testing package.
func runSuite(m *testing.M) (err error) {
	if suite.dir, err = os.MkdirTemp("", "perdure-e2e-"); err != nil {
		return err
	}
	if suite.events, err = eventstest.Start(filepath.Join(suite.dir, "events")); err != nil {
		return err
	}
	suite.models = newSwitchboard()
	m.Run()
	for _, s := range []*sharedOnce{&suite.agent, &suite.openAI} {
		if s.stack != nil {
			err = errors.Join(err, s.stack.close())
		}
	}
	suite.models.close()
	suite.events.Stop()
	return errors.Join(err, os.RemoveAll(suite.dir))
}

// perdure is the path of the program under test, built with the race detector once for all tests.
var perdure = sync.OnceValues(func() (string, error) { return build("perdure", "-race") })

// perdurePlain is the program as its users have it, for tests of what it costs.
var perdurePlain = sync.OnceValues(func() (string, error) { return build("perdure-plain") })

// build builds the program under a name.
func build(name string, flags ...string) (string, error) {
	binary := filepath.Join(suite.dir, name)
	args := slices.Concat([]string{"build", "-o", binary}, flags, []string{"perdure/cmd/perdure"})
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return binary, nil
}

// process is a running program.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *output // standard output and standard error
	ended  chan struct{}
	err    error // how it ended; read after ended is closed
}

// startProcess runs a program with nothing of our own environment but what programs need to run at all.
func startProcess(name, binary string, env []string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(binary, args...), output: newOutput(), ended: make(chan struct{})}
	p.cmd.Dir = suite.dir
	p.cmd.Env = append(baseEnv(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.WaitDelay = outputDelay
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func startPerdure(env []string, args ...string) (*process, error) {
	binary, err := perdure()
	if err != nil {
		return nil, err
	}
	return startBuild(binary, env, args...)
}

// startBuild is startPerdure for a program that [build] has made.
func startBuild(binary string, env []string, args ...string) (*process, error) {
	// By default a program with the race detector waits for a second before it ends.
	return startProcess("perdure "+args[0], binary, append(env, "GORACE=atexit_sleep_ms=0"), args...)
}

func baseEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// await waits for a line of the log, and fails at once when the process ends before.
func (p *process) await(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not there after %v", startTimeout))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go func() {
		select {
		case <-p.ended:
			giveUp(fmt.Errorf("it ended: %w", p.ending()))
		case <-ctx.Done():
		}
	}()
	match, err := p.output.await(ctx, pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, p.output.since(0))
	}
	return match, nil
}

func (p *process) ending() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// kill ends the process as a crash would, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

func (p *process) signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// wait returns the exit code, or an error when the process does not end in time.
func (p *process) wait() (int, error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(stopTimeout):
		p.kill()
		return -1, fmt.Errorf("%s did not end within %v\n%s", p.name, stopTimeout, p.output.since(0))
	}
}

// stop ends the process as an operator would.
func (p *process) stop() (int, error) {
	_ = p.signal(syscall.SIGTERM) // it may have ended by itself
	return p.wait()
}

// showOnFailure adds what the process writes during the test to the report of its failure.
func (p *process) showOnFailure(tb testing.TB) {
	offset := p.output.len()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("%s wrote:\n%s", p.name, p.output.since(offset))
		}
	})
}
