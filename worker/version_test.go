package worker_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/worker"
)

// versioned gives the workers of a fixture a version in a deployment of their own.
func (f *fixture) versioned(build string) worker.Options {
	f.options.Deployment, f.options.BuildID = "d-"+strings.TrimPrefix(f.options.TaskQueue, "worker-"), build
	return f.options
}

// currentBuild is the build ID of the version that is current, "" for none.
func currentBuild(t *testing.T, c client.Client, deployment string) string {
	t.Helper()
	d := must(c.WorkerDeploymentClient().GetHandle(deployment).Describe(t.Context(), client.WorkerDeploymentDescribeOptions{}))
	if current := d.Info.RoutingConfig.CurrentVersion; current != nil {
		return current.BuildID
	}
	return ""
}

// versionOf is the build ID of the version that a run is pinned to, "" for a run that is not.
func versionOf(t *testing.T, c client.Client, run client.WorkflowRun) string {
	t.Helper()
	d := must(c.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID()))
	v := d.GetWorkflowExecutionInfo().GetVersioningInfo()
	if v.GetBehavior() != enumspb.VERSIONING_BEHAVIOR_PINNED {
		return ""
	}
	return v.GetDeploymentVersion().GetBuildId()
}

func (f *fixture) completes(t *testing.T, c client.Client) client.WorkflowRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run := f.start(t, c)
	if err := run.Get(ctx, nil); err != nil {
		t.Fatal(err)
	}
	return run
}

// A new installation works without an operator. What comes after the first version is the operator's decision.
func TestFirstVersionBecomesCurrent(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.NewFunc(func(modeltest.Request) modeltest.Reply { return modeltest.Text("answer") }))
	f := setup(t, m.URL())
	c := dial(t, temporaldevtest.Address(t), "")
	deployment := f.versioned("one").Deployment
	stop, ended := f.run(t, c)
	awaitLog(t, f.log, "this version is the first of its deployment")
	if got := versionOf(t, c, f.completes(t, c)); got != "one" {
		t.Errorf("the run is pinned to %q, want the first version", got)
	}
	f.versioned("two")
	f.run(t, c)
	awaitLog(t, f.log, "another version is current")
	if got := versionOf(t, c, f.completes(t, c)); got != "one" {
		t.Errorf("the run is pinned to %q, want the version that is current", got)
	}
	// The same version again says nothing and changes nothing.
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	f.versioned("one")
	f.run(t, c)
	if got := versionOf(t, c, f.completes(t, c)); got != "one" {
		t.Errorf("the run is pinned to %q", got)
	}
	if got := currentBuild(t, c, deployment); got != "one" {
		t.Errorf("%q is current", got)
	}
}

// Of versions that start together in a new deployment, one becomes current, and the others agree.
func TestOneOfManyBecomesFirst(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	c := dial(t, temporaldevtest.Address(t), "")
	builds := []string{"one", "two", "three"}
	var deployment string
	for _, build := range builds {
		deployment = f.versioned(build).Deployment
		f.run(t, c)
	}
	deadline := time.After(patience)
	for settled := 0; settled < len(builds); {
		log := f.log.String()
		settled = strings.Count(log, "this version is the first") + strings.Count(log, "another version is current")
		select {
		case <-deadline:
			t.Fatalf("%d of %d versions have settled", settled, len(builds))
		case <-time.After(20 * time.Millisecond):
		}
	}
	if n := strings.Count(f.log.String(), "this version is the first"); n != 1 {
		t.Errorf("%d versions are the first", n)
	}
	if current := currentBuild(t, c, deployment); !strings.Contains(f.log.String(), `current now" deployment=`+deployment+" build_id="+current) {
		t.Errorf("%q is current, and says nothing of it", current)
	}
}

// An operator who has new runs begin on workers without a version does not want the next version to take over by itself.
func TestVersionStaysBackWhenTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	c := dial(t, temporaldevtest.Address(t), "")
	deployment := f.versioned("one").Deployment
	f.run(t, c)
	awaitLog(t, f.log, "this version is the first of its deployment")
	_, err := c.WorkerDeploymentClient().GetHandle(deployment).SetCurrentVersion(t.Context(), client.WorkerDeploymentSetCurrentVersionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.versioned("two")
	f.run(t, c)
	awaitLog(t, f.log, "another version is current")
	if got := currentBuild(t, c, deployment); got != "" {
		t.Errorf("%q is current, want none", got)
	}
}

// A worker that may not see to versions works all the same, and says what is to be done.
func TestVersionWithoutPermission(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	denied := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if strings.Contains(method, "WorkerDeployment") {
			return status.Error(codes.PermissionDenied, "not for you")
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	c := must(client.NewLazyClient(client.Options{
		HostPort: temporaldevtest.Address(t), Logger: tlog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(denied)}},
	}))
	t.Cleanup(c.Close)
	f.versioned("one")
	stop, ended := f.run(t, c)
	awaitLog(t, f.log, "this worker may not see to the versions of its deployment")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Without a build ID nothing of this happens.
func TestWorkerWithoutAVersion(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	f.options.Deployment = "d-" + uuid.NewString()
	c := dial(t, temporaldevtest.Address(t), "")
	f.run(t, c)
	run := f.completes(t, c)
	d := must(c.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID()))
	if v := d.GetWorkflowExecutionInfo().GetVersioningInfo(); v.GetDeploymentVersion() != nil {
		t.Errorf("the run has the version %v", v)
	}
	if strings.Contains(f.log.String(), "build_id") {
		t.Errorf("the log says %s", f.log)
	}
}
