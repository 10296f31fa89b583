// Command temporal shows how a program of your own uses Perdure over Temporal, without HTTP. It imports package contract and nothing else
// of Perdure.
//
//	go run ./examples/temporal ask "What is durable execution?"
//
// starts the workflow Response by its name and prints the answer.
//
//	go run ./examples/temporal worker &
//	go run ./examples/temporal digest tides glaciers
//
// runs a workflow of this program, [Digest], which starts one Response for each topic as a child, and one more that makes a digest of their
// answers. Stop the worker in between, and start it again: nothing is asked twice. Nor is it when somebody resets the workflow: what it has
// asked is then refused as started already, and the workflow fails.
//
// The Temporal server is the one that TEMPORAL_ADDRESS names, with TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and so on. "perdure dev" tells
// where its own is.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/worker"

	"perdure/contract"
)

// digestQueue is the task queue of this program's own worker.
const digestQueue = "perdure-example"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return err
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return err
	}
	defer c.Close()
	switch {
	case len(args) == 2 && args[0] == "ask":
		return ask(ctx, c, args[1], out)
	case len(args) > 1 && args[0] == "digest":
		return digest(ctx, c, args[1:], out)
	case len(args) == 1 && args[0] == "worker":
		return work(ctx, c)
	default:
		return errors.New(`usage: temporal ask "QUESTION" | worker | digest TOPIC…`)
	}
}

// ask starts a response by the workflow's name, and waits for it.
func ask(ctx context.Context, c client.Client, question string, out io.Writer) error {
	request, err := newRequest(question)
	if err != nil {
		return err
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: contract.NewResponseID(), TaskQueue: perdureQueue(), WorkflowExecutionTimeout: contract.RunTimeout,
		WorkflowIDReusePolicy: contract.IDReusePolicy,
	}, contract.ResponseName, contract.ResponseInput{Request: request})
	if err != nil {
		return err
	}
	var outcome contract.Outcome
	if err := run.Get(ctx, &outcome); err != nil {
		if failed, ok := contract.OutcomeOf(err); ok && failed.Error != nil {
			return fmt.Errorf("%s %s: %s", run.GetID(), failed.Status, failed.Error.Message)
		}
		return err
	}
	text, err := textOf(outcome)
	fmt.Fprintf(out, "%s\n(%s, %d tokens, GET /v1/responses/%s)\n", text, outcome.Model, outcome.Usage.TotalTokens, run.GetID())
	return err
}

// digest runs the workflow of this program.
func digest(ctx context.Context, c client.Client, topics []string, out io.Writer) error {
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "digest-" + uuid.NewString(), TaskQueue: digestQueue,
	}, Digest, DigestInput{Topics: topics, TaskQueue: perdureQueue()})
	if err != nil {
		return err
	}
	var text string
	if err := run.Get(ctx, &text); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, strings.TrimSpace(text))
	return err
}

// work carries out the workflow of this program until it is told to stop. The responses are carried out by Perdure's workers.
func work(ctx context.Context, c client.Client) error {
	w := worker.New(c, digestQueue, worker.Options{})
	w.RegisterWorkflow(Digest)
	if err := w.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	w.Stop()
	return nil
}

// perdureQueue is the task queue of Perdure's workers.
func perdureQueue() string {
	return cmp.Or(os.Getenv("PERDURE_TEMPORAL_TASK_QUEUE"), contract.TaskQueue)
}
