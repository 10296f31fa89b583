// Package contract is what programs need that start Perdure's workflows themselves, over Temporal: names, payloads and the IDs that
// count. Programs in other languages send the JSON that the comments here show; see docs/temporal.md.
//
//	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
//		ID: contract.NewResponseID(), TaskQueue: contract.TaskQueue,
//		WorkflowIDReusePolicy: contract.IDReusePolicy, WorkflowExecutionTimeout: contract.RunTimeout,
//	}, contract.ResponseName, contract.ResponseInput{Request: contract.Request{
//		Organization: "acme", User: "nightly", Body: json.RawMessage(`{"model":"openai/gpt-5.5","input":"Hello"}`),
//		Return: contract.ReturnResponse,
//	}})
//
// # Trust
//
// Whoever may start workflows in the namespace acts for any organization and any user that it names. No API key is asked for, and no
// rate limit holds. Give access to the namespace to programs that you would give every key.
//
// Nothing here ever changes its meaning. Fields may be added.
package contract

import (
	"encoding/json"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"perdure/internal/responses"
)

// TaskQueue is the task queue of Perdure's workers, unless their configuration says otherwise (temporal.task_queue).
const TaskQueue = "perdure"

// ResponseName is the name of the workflow that is a response. It takes a [ResponseInput] and returns an [Outcome].
const ResponseName = "Response"

// ProgressName is the name of the query that returns what a run has come to so far, as an [Outcome].
const ProgressName = "progress"

// RunTimeout is the execution timeout that the API gives to runs. A run that is started without one may wait for a model or a server that
// never comes back.
const RunTimeout = 24 * time.Hour

// IDReusePolicy is for all who start a response or a batch, as a client ([client.StartWorkflowOptions]) or as a parent
// ([workflow.ChildWorkflowOptions]). Temporal then refuses a second workflow under an ID also when the first has ended: a client's repeated
// start gets the first one's result, a parent's ends with an error that says that it was started already. Temporal's own default lets a
// second one run, which asks models, and calls tools that write, once more.
//
// [client.StartWorkflowOptions]: https://pkg.go.dev/go.temporal.io/sdk/client#StartWorkflowOptions
// [workflow.ChildWorkflowOptions]: https://pkg.go.dev/go.temporal.io/sdk/workflow#ChildWorkflowOptions
const IDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE

// Types of the application errors with which a run ends that failed. Their details are an [Outcome]; see [OutcomeOf].
const (
	// ErrTypeFailed: the model failed for good.
	ErrTypeFailed = "response_failed"
	// ErrTypeDiscovery: an MCP server could not be listed, or a connector has to be authorized.
	ErrTypeDiscovery = "external_connector_error"
	// ErrTypeInvalid: the request was refused, or turned out to be impossible once the servers were listed.
	ErrTypeInvalid = "invalid_request"
)

// Search attributes of a run. Their values are never encrypted.
var (
	Organization = temporal.NewSearchAttributeKeyKeyword("PerdureOrganization")
	User         = temporal.NewSearchAttributeKeyKeyword("PerdureUser")
	// Key is the name of the API key with which the run was asked for.
	Key     = temporal.NewSearchAttributeKeyKeyword("PerdureKey")
	Model   = temporal.NewSearchAttributeKeyKeyword("PerdureModel")
	Servers = temporal.NewSearchAttributeKeyKeywordList("PerdureServers")
	Status  = temporal.NewSearchAttributeKeyKeyword("PerdureStatus")
	// Stored is false for a run whose response is not to be retrieved or listed.
	Stored = temporal.NewSearchAttributeKeyBool("PerdureStored")
	// Created is when the response was created. The start time of an execution is another one once the run has gone on as a new execution.
	Created = temporal.NewSearchAttributeKeyTime("PerdureCreated")
	// Batch is the batch, or whatever else the caller said in [Request.Batch], that the run is part of.
	Batch = temporal.NewSearchAttributeKeyKeyword("PerdureBatch")
)

// JSON is a JSON value as it is.
type JSON = json.RawMessage

// What a run has used, and why it failed. They are the usage and the error of the response on the wire.
type (
	Usage    = responses.Usage
	RunError = responses.RunError
)
