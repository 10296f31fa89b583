// Package worker runs workflows and activities until it is told to stop.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"perdure/activities"
)

// Options configure a worker. All fields are required, but for the version, Namespace, SweepEvery and Register.
type Options struct {
	TaskQueue string
	// Deployment and BuildID are the version of the code that this worker runs, among those of a Worker Deployment. Without a BuildID
	// it is a worker without versioning.
	Deployment, BuildID string
	// MaxActivities and MaxWorkflowTasks bound what this worker does at once.
	MaxActivities    int
	MaxWorkflowTasks int
	// StopGrace is how long activities may go on after the worker was told to stop. What is not done by then is handed back:
	// its context is cancelled, and another worker tries it again, without waiting for a timeout.
	StopGrace time.Duration
	// Namespace is that of the client. With it, a worker does not start whose stores of large values are another namespace's.
	Namespace string
	// SweepEvery is how often the stores of large values are swept, by one of the workers; 0 is never.
	SweepEvery time.Duration
	// Register adds what is not this package's to know: steps that others carry out.
	Register func(worker.Registry)
	Logger   *slog.Logger
}

const (
	// pollers is how many long polls of each kind a worker keeps open. The SDK's two make ten parallel calls wait for
	// each other for a third of a second.
	pollers = 10
	// stickyTimeout is how long the server waits for the worker that has a run in its cache before any other may go on with the
	// run. After a crash that is time lost.
	stickyTimeout = time.Second

	firstReconnect = 200 * time.Millisecond
	lastReconnect  = 2 * time.Second
)

// Run works until ctx ends, then stops gracefully and returns nil. A server that cannot be reached yet is waited for.
func Run(ctx context.Context, c client.Client, steps *activities.Activities, o Options) error {
	over, endGrace := context.WithCancel(context.WithoutCancel(ctx))
	defer endGrace()
	failed := make(chan error, 1)
	w, err := start(ctx, c, steps, o, &handBack{over: over}, func(err error) { failed <- err })
	if w == nil || err != nil {
		return err
	}
	o.Logger.InfoContext(ctx, "worker started", "task_queue", o.TaskQueue)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background sync.WaitGroup
	if o.BuildID != "" {
		o.Logger.InfoContext(ctx, "worker has a version", "deployment", o.Deployment, "build_id", o.BuildID)
		background.Go(func() { becomeFirst(ctx, c, o) })
	}
	if o.SweepEvery > 0 {
		background.Go(func() { scheduleSweeps(ctx, c, o) })
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	background.Wait()
	grace := time.AfterFunc(o.StopGrace, endGrace)
	defer grace.Stop()
	w.Stop()
	o.Logger.InfoContext(ctx, "worker stopped")
	return err
}

// start returns a worker that has started, or nil if ctx ended before. It tries until the server can be reached, and gives up only
// on an answer that waiting does not change.
func start(ctx context.Context, c client.Client, steps *activities.Activities, o Options, h *handBack, onFatal func(error)) (worker.Worker, error) {
	for wait := firstReconnect; ; wait = min(2*wait, lastReconnect) {
		_, err := c.CheckHealth(ctx, &client.CheckHealthRequest{})
		if err == nil && o.Namespace != "" {
			err = steps.ClaimStores(ctx, c, o.Namespace)
		}
		if err == nil {
			w := newWorker(c, steps, o, h, onFatal)
			if err = w.Start(); err == nil {
				return w, nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case final(err):
			return nil, err
		}
		o.Logger.WarnContext(ctx, "Temporal, or the storage of large values, cannot be reached, waiting", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// final reports whether the server was reached and refuses this worker.
func final(err error) bool {
	var (
		denied    *serviceerror.PermissionDenied
		namespace *serviceerror.NamespaceNotFound
		invalid   *serviceerror.InvalidArgument
	)
	return errors.As(err, &denied) || errors.As(err, &namespace) || errors.As(err, &invalid) ||
		errors.Is(err, activities.ErrForeignStores)
}

// newWorker returns a worker that knows every workflow and activity. Its steps are handed back by h. It calls onFatal at most once.
func newWorker(c client.Client, steps *activities.Activities, o Options, h *handBack, onFatal func(error)) worker.Worker {
	w := worker.New(c, o.TaskQueue, worker.Options{
		MaxConcurrentActivityExecutionSize:     o.MaxActivities,
		MaxConcurrentWorkflowTaskExecutionSize: o.MaxWorkflowTasks,
		MaxConcurrentActivityTaskPollers:       pollers,
		MaxConcurrentWorkflowTaskPollers:       pollers,
		StickyScheduleToStartTimeout:           stickyTimeout,
		WorkerStopTimeout:                      o.StopGrace + handBackTimeout,
		DeploymentOptions:                      deploymentOptions(o),
		Interceptors:                           []interceptor.WorkerInterceptor{h},
		OnFatalError:                           onFatal,
	})
	registerWorkflows(w)
	steps.Register(w)
	if o.Register != nil {
		o.Register(w)
	}
	return w
}
