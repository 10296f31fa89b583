package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"perdure/contract"
)

// DigestInput starts a [Digest].
type DigestInput struct {
	Topics    []string `json:"topics"`
	TaskQueue string   `json:"task_queue"` // of Perdure's workers
}

// Digest asks about every topic at the same time, and then for a digest of the answers.
func Digest(ctx workflow.Context, in DigestInput) (string, error) {
	answers := make([]workflow.ChildWorkflowFuture, len(in.Topics))
	for i, topic := range in.Topics {
		child, err := respond(ctx, in.TaskQueue, "topic "+topic, "In one sentence: what is most surprising about "+topic+"?")
		if err != nil {
			return "", err
		}
		answers[i] = child
	}
	var said []string
	for i, answer := range answers {
		text, err := answered(ctx, answer)
		if err != nil {
			return "", fmt.Errorf("%s: %w", in.Topics[i], err)
		}
		said = append(said, "- "+text)
	}
	child, err := respond(ctx, in.TaskQueue, "digest", "Make one sentence of these:\n"+strings.Join(said, "\n"))
	if err != nil {
		return "", err
	}
	return answered(ctx, child)
}

// respond starts a response as a child. Its ID follows from this run and a name, so that a replay has the same, and so has a run that
// somebody resets: with the policy for IDs, that asks nothing again.
func respond(ctx workflow.Context, queue, name, question string) (workflow.ChildWorkflowFuture, error) {
	request, err := newRequest(question)
	if err != nil {
		return nil, err
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: contract.DeriveResponseID(workflow.GetInfo(ctx).OriginalRunID + "/" + name),
		TaskQueue:  queue, WorkflowExecutionTimeout: contract.RunTimeout, StaticSummary: name,
		WorkflowIDReusePolicy: contract.IDReusePolicy,
	})
	return workflow.ExecuteChildWorkflow(ctx, contract.ResponseName, contract.ResponseInput{Request: request}), nil
}

// answered waits for a response's text.
func answered(ctx workflow.Context, child workflow.ChildWorkflowFuture) (string, error) {
	var outcome contract.Outcome
	if err := child.Get(ctx, &outcome); err != nil {
		if failed, ok := contract.OutcomeOf(err); ok && failed.Error != nil {
			return "", errors.New(failed.Error.Message)
		}
		return "", err
	}
	return textOf(outcome)
}

// newRequest asks a question for a user. The result is to have the response itself.
func newRequest(question string) (contract.Request, error) {
	body, err := json.Marshal(map[string]any{"input": question})
	return contract.Request{Organization: "default", User: "example", Body: body, Return: contract.ReturnResponse}, err
}

// textOf is what the model said.
func textOf(outcome contract.Outcome) (string, error) {
	if outcome.ResponseOmitted {
		return "", errors.New("the response is too long for a result: get it from the API")
	}
	var response struct {
		Output []struct {
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
		} `json:"output"`
	}
	if err := json.Unmarshal(outcome.Response, &response); err != nil {
		return "", err
	}
	var text strings.Builder
	for _, item := range response.Output {
		for _, part := range item.Content {
			text.WriteString(part.Text)
		}
	}
	return text.String(), nil
}
