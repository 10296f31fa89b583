package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// stepsOfARun is the number of activities of the run that is measured: discover, model_turn, mcp_call, model_turn.
const stepsOfARun = 4

// bare is a worker for workflows that do nothing.
type bare struct {
	queue  string
	client client.Client
	worker worker.Worker
	n      int
}

func noop(context.Context, string) (string, error) { return "ok", nil }

func bareWorkflow(ctx workflow.Context) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	out := "start"
	for range stepsOfARun {
		if err := workflow.ExecuteActivity(ctx, noop, out).Get(ctx, &out); err != nil {
			return "", err
		}
	}
	return out, nil
}

// startBare connects as the SDK does by default, or without gRPC compression, as "perdure dev" does.
func startBare(address, queue string, compression client.GrpcCompression) (*bare, error) {
	c, err := client.Dial(client.Options{
		HostPort:          address,
		Logger:            tlog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{GrpcCompression: compression},
	})
	if err != nil {
		return nil, err
	}
	w := worker.New(c, queue, worker.Options{
		MaxConcurrentActivityTaskPollers: 10, MaxConcurrentWorkflowTaskPollers: 10,
	})
	w.RegisterWorkflow(bareWorkflow)
	w.RegisterActivity(noop)
	if err := w.Start(); err != nil {
		c.Close()
		return nil, err
	}
	return &bare{queue: queue, client: c, worker: w}, nil
}

func (b *bare) close() {
	b.worker.Stop()
	b.client.Close()
}

func (b *bare) run(ctx context.Context) error {
	b.n++
	run, err := b.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: fmt.Sprintf("%s-%d-%d", b.queue, time.Now().UnixNano(), b.n), TaskQueue: b.queue, EnableEagerStart: true,
	}, bareWorkflow)
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}
