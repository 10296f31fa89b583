package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/temporaldev/temporaldevtest"
)

// deploying is a deployment of a test, whose workers know one workflow: it waits for the signal "go".
type deploying struct {
	t        *testing.T
	temporal client.Client
	name     string // of the deployment, and of its task queue
	config   string
}

func newDeploying(t *testing.T) *deploying {
	t.Helper()
	d := &deploying{t: t, name: "deployment-" + uuid.NewString(), config: filepath.Join(t.TempDir(), "perdure.yaml")}
	address := temporaldevtest.Address(t)
	if err := os.WriteFile(d.config, fmt.Appendf(nil, "temporal:\n  address: %s\n", address), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.temporal, err = client.Dial(client.Options{HostPort: address}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.temporal.Close)
	return d
}

// work starts a worker of a build, on the queue of the deployment or another, and waits until its version is known.
func (d *deploying) work(build, queue string) {
	d.t.Helper()
	w := worker.New(d.temporal, queue, worker.Options{DeploymentOptions: worker.DeploymentOptions{
		UseVersioning: true, Version: worker.WorkerDeploymentVersion{DeploymentName: d.name, BuildID: build},
	}})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
		return ctx.Err()
	}, workflow.RegisterOptions{Name: "Held", VersioningBehavior: workflow.VersioningBehaviorPinned})
	if err := w.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(w.Stop)
	d.await(build)
	if queue == d.name {
		d.awaitQueues(build)
	}
}

// awaitQueues waits until the server knows that the version has pollers for workflows and for activities: it learns of one after the other.
func (d *deploying) awaitQueues(build string) {
	d.t.Helper()
	deadline := time.After(versionPatience)
	for {
		v, err := d.temporal.WorkerDeploymentClient().GetHandle(d.name).DescribeVersion(d.t.Context(), client.WorkerDeploymentDescribeVersionOptions{BuildID: build})
		if err == nil && len(v.Info.TaskQueuesInfos) == 2 {
			return
		}
		select {
		case <-deadline:
			d.t.Fatalf("the server knows %+v of %s: %v", v.Info.TaskQueuesInfos, build, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// held starts a run.
func (d *deploying) held() client.WorkflowRun {
	d.t.Helper()
	run, err := d.temporal.ExecuteWorkflow(d.t.Context(), client.StartWorkflowOptions{TaskQueue: d.name, WorkflowExecutionTimeout: 5 * time.Minute}, "Held")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = d.temporal.TerminateWorkflow(d.t.Context(), run.GetID(), "", "the test is over") })
	return run
}

func (d *deploying) run(args ...string) (code int, out, errs string) {
	d.t.Helper()
	return perdure(d.t.Context(), append([]string{"deployment", "--config", d.config, "--deployment", d.name}, args...)...)
}

// does runs a command that must succeed with an output.
func (d *deploying) does(want string, args ...string) {
	d.t.Helper()
	if code, out, errs := d.run(args...); code != 0 || out != want+"\n" {
		d.t.Fatalf("%v: exit %d, stdout %q, want %q; stderr %s", args, code, out, want, errs)
	}
}

// fails runs a command that must be refused with words.
func (d *deploying) fails(args []string, words ...string) {
	d.t.Helper()
	code, out, errs := d.run(args...)
	if code == exitOK || out != "" {
		d.t.Errorf("%v: exit %d, stdout %q", args, code, out)
	}
	for _, want := range words {
		if !strings.Contains(errs, want) {
			d.t.Errorf("%v: stderr %q does not say %q", args, errs, want)
		}
	}
}

// versionPatience is longer than a version takes to be drained: Temporal looks every five seconds here.
const versionPatience = 40 * time.Second

// await polls the list until each of the rows is there, given as the columns before the last.
func (d *deploying) await(rows ...string) {
	d.t.Helper()
	deadline := time.After(versionPatience)
	for {
		_, out, errs := d.run("list")
		missing := ""
		for _, row := range rows {
			if !hasRow(out, row) {
				missing = row
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-deadline:
			d.t.Fatalf("there is no row %q in\n%s%s", missing, out, errs)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// hasRow reports whether a table has a row that begins with these words.
func hasRow(table, row string) bool {
	want := strings.Fields(row)
	for line := range strings.Lines(table) {
		got := strings.Fields(line)
		if len(got) >= len(want) && strings.Join(got[:len(want)], " ") == strings.Join(want, " ") {
			return true
		}
	}
	return false
}

// TestDeployment goes through a deploy: a version is first, another one ramps, takes over and is taken back.
func TestDeployment(t *testing.T) {
	t.Parallel()
	d := newDeploying(t)
	d.fails([]string{"list"}, "has no deployment", d.name, "worker.build_id")
	d.fails([]string{"set-current", "one"}, "has no deployment", d.name)
	d.work("one", d.name)
	d.await("BUILD ID STATE RUNS SINCE", "(unversioned) current", "one inactive 0")
	d.does("one is current: new runs begin there", "set-current", "one")
	old := d.held()
	d.await("one current 1")

	d.work("two", d.name)
	d.does("two gets 25% of new runs", "ramp", "two", "25")
	d.await("one current 1", "two ramping 25% 0")
	d.does("two gets 0% of new runs", "ramp", "two", "0")
	d.fails([]string{"ramp", "two", "0"}, "two is not ramping")
	d.does("two gets 100% of new runs", "ramp", "two", "100")
	d.held()
	d.await("one current 1", "two ramping 100% 1")
	d.does("two is current: new runs begin there", "set-current", "two")
	d.await("two current 1", "one draining 1")

	if err := d.temporal.SignalWorkflow(t.Context(), old.GetID(), "", "go", nil); err != nil {
		t.Fatal(err)
	}
	if err := old.Get(t.Context(), nil); err != nil {
		t.Error(err)
	}
	d.await("one drained 0")
	d.does("one is current: new runs begin there", "set-current", "one")
	d.held()
	d.await("one current 1", "two draining 1")
	d.does("(unversioned) is current: new runs begin there", "set-current", "--unversioned")
	d.await("(unversioned) current", "one draining 1", "two draining 1")
}

func TestDeploymentRefusals(t *testing.T) {
	t.Parallel()
	d := newDeploying(t)
	for _, share := range []string{"-1", "101", "NaN", "x", ""} {
		d.fails([]string{"ramp", "--", "one", share}, "is no share", "0 to 100")
	}
	d.fails([]string{"ramp", "one"}, "accepts 2 arg(s)")
	d.fails([]string{"set-current"}, "name one build ID", "--unversioned")
	d.fails([]string{"set-current", "one", "two"}, "name one build ID")
	d.fails([]string{"set-current", "one", "--unversioned"}, "name one build ID")
	d.work("one", d.name)
	d.does("one is current: new runs begin there", "set-current", "one")
	d.work("elsewhere", "another-"+d.name)
	for _, args := range [][]string{{"set-current", "nobody"}, {"ramp", "nobody", "5"}} {
		d.fails(args, "has no version nobody", "one", "elsewhere", "worker.build_id")
	}
	d.fails([]string{"ramp", "nobody", "0"}, "nobody is not ramping")
	// Runs on the queue would find nobody.
	d.held()
	d.fails([]string{"set-current", "elsewhere"}, "elsewhere cannot take over", "task queue")
}
