package starter

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/contract"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/model"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/webhook"
	"perdure/worker"
	"perdure/workflows"
)

// serveRequests runs a starter and a worker with all its steps, whose model is m.
func serveRequests(t *testing.T, m *modeltest.Server, change ...func(*Options)) *rig {
	t.Helper()
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	catalog := must(model.NewCatalog([]model.Provider{{Name: "p", BaseURL: m.URL(), Models: []string{"m"}}}, "p/m"))
	r := serve(t, nil, append([]func(*Options){func(o *Options) { o.Catalog = catalog }}, change...)...)
	mcp := must(mcpclient.New(mcpclient.Options{Network: r.options.Network}))
	models := model.New(model.Options{Catalog: catalog})
	sender := must(webhook.New(webhook.Options{Logger: r.options.Logger}))
	steps := must(activities.New(activities.Options{
		Blobs: r.options.Blobs, MCP: mcp, Models: models, Sealer: r.options.Sealer, Logger: r.options.Logger, Webhooks: sender,
		Events: r.options.Events, Payloads: r.options.Payloads, HeartbeatEvery: 100 * time.Millisecond, ModelTimeout: time.Minute,
		MaxToolOutput: 1000,
	}))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Run(ctx, r.options.Temporal, steps, worker.Options{
			TaskQueue: r.options.TaskQueue, MaxActivities: 10, MaxWorkflowTasks: 10, StopGrace: 10 * time.Second, Logger: r.options.Logger,
			Register: NewIntake(ctx, r.options).Register,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, mcp.Close()); err != nil {
			t.Error(err)
		}
		models.Close()
		sender.Close()
	})
	return r
}

// begin starts a run by a request, as a program would that knows only the contract.
func (r *rig) begin(t *testing.T, id string, request contract.Request) client.WorkflowRun {
	t.Helper()
	return must(r.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: r.options.TaskQueue, WorkflowExecutionTimeout: time.Minute,
	}, contract.ResponseName, contract.ResponseInput{Request: request}))
}

func (r *rig) get(t *testing.T, key, path string) answer {
	t.Helper()
	return as(t, key, http.MethodGet, r.url+path, "")
}

func asked(body string) contract.Request {
	return contract.Request{Organization: "acme", User: "alice", Key: "laptop", Body: contract.JSON(body)}
}

// TestRequestFromTemporal: a run that a program has started over Temporal is one like all others to the API, and to nobody else.
func TestRequestFromTemporal(t *testing.T) {
	t.Parallel()
	r := serveRequests(t, modeltest.New(modeltest.RateLimited(1), modeltest.Text("forty-two")))
	id := contract.NewResponseID()
	request := asked(`{"input":"what is it?","metadata":{"of":"the program"},"stream":true}`)
	request.Batch, request.CustomID, request.Return = "batch_"+uuid.NewString(), "first", contract.ReturnResponse
	var out contract.Outcome
	if err := r.begin(t, id, request).Get(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if out.Status != responses.ResponseCompleted || out.Model != "p/m" || out.Throttled != 1 || out.Usage.TotalTokens == 0 || out.ResponseOmitted {
		t.Errorf("outcome %+v", out)
	}
	got := r.get(t, apiKey, "/v1/responses/"+id)
	if shown := got.response(t); shown.ID != id || shown.Status != "completed" || !strings.Contains(got.body, "forty-two") {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	if strings.TrimSpace(got.body) != string(out.Response) {
		t.Errorf("the result has %s\nand GET answers %s", out.Response, got.body)
	}
	var response struct {
		Background bool
		Metadata   map[string]string
	}
	if err := json.Unmarshal(out.Response, &response); err != nil || !response.Background || response.Metadata["of"] != "the program" {
		t.Errorf("response %+v, error %v", response, err)
	}
	if got := r.get(t, otherKey, "/v1/responses/"+id); got.status != http.StatusNotFound {
		t.Errorf("another organization gets HTTP %d", got.status)
	}
	if got := r.get(t, apiKey, "/v1/responses/"+id+"/input_items"); got.status != http.StatusOK || !strings.Contains(got.body, "what is it?") {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	r.awaitListed(t, "?batch="+request.Batch, id)

	// A repeated start gets what the first came to, and the model, which has no further reply, is not asked again.
	repeated := must(r.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: r.options.TaskQueue, WorkflowExecutionTimeout: contract.RunTimeout, WorkflowIDReusePolicy: contract.IDReusePolicy,
	}, contract.ResponseName, contract.ResponseInput{Request: request}))
	var again contract.Outcome
	if err := repeated.Get(t.Context(), &again); err != nil || !again.CompletedAt.Equal(out.CompletedAt) || string(again.Response) != string(out.Response) {
		t.Errorf("the repeated start came to %+v, %v\nthe first to %+v", again, err, out)
	}
	// So is a child's.
	parent := must(r.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "parent-" + id, TaskQueue: r.parents(t)}, "parent", id, request))
	if err := parent.Get(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "already started") {
		t.Errorf("the same response could be started again as a child: %v", err)
	}
}

// parents runs a worker with a workflow that starts a response as examples/temporal does, and returns its task queue.
func (r *rig) parents(t *testing.T) string {
	t.Helper()
	queue := "parents-" + r.options.TaskQueue
	w := sdkworker.New(r.temporal, queue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, id string, request contract.Request) error {
		return workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID: id, TaskQueue: r.options.TaskQueue, WorkflowExecutionTimeout: contract.RunTimeout, WorkflowIDReusePolicy: contract.IDReusePolicy,
		}), contract.ResponseName, contract.ResponseInput{Request: request}).Get(ctx, nil)
	}, workflow.RegisterOptions{Name: "parent"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return queue
}

// awaitListed waits until a list has one response.
func (r *rig) awaitListed(t *testing.T, query, id string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		got := r.get(t, apiKey, "/v1/responses"+query)
		var list listPage
		if err := json.Unmarshal([]byte(got.body), &list); err != nil || got.status != http.StatusOK {
			t.Fatalf("HTTP %d with %s", got.status, got.body)
		}
		if len(list.Data) == 1 && list.Data[0].ID == id && list.Data[0].Status == responses.ResponseCompleted {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the list is %+v", list)
		}
	}
}

// TestRefusedRequestFromTemporal: what the API refuses, a run refuses in the same words, and it never is a response.
func TestRefusedRequestFromTemporal(t *testing.T) {
	t.Parallel()
	r := serveRequests(t, modeltest.New(), func(o *Options) {
		o.Line = func(context.Context, string, string, int) ([]byte, error) {
			return nil, &responses.Error{Status: http.StatusNotFound, Type: responses.ErrNotFound, Message: "no such file"}
		}
	})
	tool := func(extra string) string {
		return `{"input":"hi","tools":[{"type":"mcp","server_label":"a","server_url":"http://127.0.0.1:1/mcp"` + extra + `}]}`
	}
	for name, c := range map[string]struct {
		id      string
		request contract.Request
		param   string
		kind    string
		says    string
	}{
		"invalid":            {request: asked(`{"input":"hi","temperature":9}`), param: "temperature", kind: responses.ErrInvalidRequest, says: "between"},
		"unknown member":     {request: asked(`{"input":"hi","colour":"red"}`), param: "colour", kind: responses.ErrInvalidRequest, says: "unknown"},
		"unknown model":      {request: asked(`{"input":"hi","model":"x/y"}`), param: "model", kind: responses.ErrInvalidRequest, says: "x/y"},
		"inline token":       {request: asked(tool(`,"authorization":"canary"`)), param: "tools[0].authorization", kind: responses.ErrInvalidRequest, says: "connector_id"},
		"inline headers":     {request: asked(tool(`,"headers":{"X-Key":"canary"}`)), param: "tools[0].headers", kind: responses.ErrInvalidRequest, says: "connector_id"},
		"no such connector":  {request: asked(`{"input":"hi","tools":[{"type":"mcp","server_label":"a","connector_id":"conn_1"}]}`), param: "tools[0].connector_id", kind: responses.ErrInvalidRequest, says: "connectors"},
		"no earlier":         {request: asked(`{"input":"hi","previous_response_id":"resp_none"}`), param: "previous_response_id", kind: responses.ErrInvalidRequest, says: "not found"},
		"not stored":         {request: asked(`{"input":"hi","store":false,"background":true}`), param: "store", kind: responses.ErrInvalidRequest, says: "stored"},
		"no JSON":            {request: asked(`[]`), kind: responses.ErrInvalidRequest, says: "JSON object"},
		"nothing":            {request: asked(``), param: "request.body", kind: responses.ErrInvalidRequest, says: "request.line"},
		"nobody":             {request: contract.Request{Organization: "acme", Body: contract.JSON(`{"input":"hi"}`)}, param: "request.user", kind: responses.ErrInvalidRequest, says: "letters"},
		"a file that is not": {request: contract.Request{Organization: "acme", User: "alice", Line: &contract.Line{File: "file-1", Number: 1}}, kind: responses.ErrNotFound, says: "no such file"},
		"line 0":             {request: contract.Request{Organization: "acme", User: "alice", Line: &contract.Line{File: "file-1"}}, param: "request.line", kind: responses.ErrInvalidRequest, says: "from 1"},
		"an ID of its own":   {id: "nightly/" + uuid.NewString(), request: asked(`{"input":"hi"}`), param: "workflow_id", kind: responses.ErrInvalidRequest, says: "resp_"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := c.id
			if id == "" {
				id = contract.NewResponseID()
			}
			err := r.begin(t, id, c.request).Get(t.Context(), nil)
			out, ok := contract.OutcomeOf(err)
			if !ok || out.Status != responses.ResponseFailed || out.Error == nil {
				t.Fatalf("error %v, outcome %+v", err, out)
			}
			if e := out.Error; e.Param != c.param || e.Type != c.kind || !strings.Contains(e.Message, c.says) || strings.Contains(e.Message, "canary") {
				t.Errorf("got %+v, want %s at %q that says %q", e, c.kind, c.param, c.says)
			}
			if got := r.get(t, apiKey, "/v1/responses/"+id); got.status != http.StatusNotFound {
				t.Errorf("GET answers HTTP %d with %s", got.status, got.body)
			}
		})
	}
}

// A line of a file may have secrets: files are sealed, and so are the secrets from then on.
func TestLineOfAFile(t *testing.T) {
	t.Parallel()
	server := mcpServer(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true, Bearer: "canary-5b1f"})
	r := serveRequests(t, modeltest.New(modeltest.Text("from the line")), func(o *Options) {
		o.Line = func(_ context.Context, organization, file string, number int) ([]byte, error) {
			if organization != "acme" || file != "file-1" || number != 7 {
				t.Errorf("asked for line %d of %s of %s", number, file, organization)
			}
			return []byte(`{"input":"hi","store":false,"tools":[{"type":"mcp","server_label":"a","server_url":"` + server +
				`","authorization":"canary-5b1f"}]}`), nil
		}
	})
	id := contract.NewResponseID()
	request := contract.Request{
		Organization: "acme", User: "alice", Line: &contract.Line{File: "file-1", Number: 7}, Return: contract.ReturnResponse,
	}
	var out contract.Outcome
	if err := r.begin(t, id, request).Get(t.Context(), &out); err != nil || !strings.Contains(string(out.Response), "from the line") {
		t.Errorf("response %s, error %v", out.Response, err)
	}
	history := r.temporal.GetWorkflowHistory(t.Context(), id, "", false, 0)
	for history.HasNext() {
		if event := must(history.Next()).String(); strings.Contains(event, "canary") {
			t.Errorf("the history has the secret: %s", event)
		}
	}
	if got := r.get(t, apiKey, "/v1/responses/"+id); got.status != http.StatusNotFound {
		t.Errorf("a response that is not stored: HTTP %d with %s", got.status, got.body)
	}
}

// What a run has become goes with it when it goes on as a new execution: it is found, listed and shown as before.
func TestRequestThatGoesOnAsNew(t *testing.T) {
	t.Parallel()
	server := mcpServer(t, mcptest.ServerOptions{Stateless: true, JSONResponse: true})
	call := modeltest.Calls(modeltest.Call{Name: "a__echo", Arguments: `{"text":"x"}`})
	r := serveRequests(t, modeltest.New(call, call, modeltest.Text("at last")), func(o *Options) {
		o.Limits.Run.HistoryEvents, o.Limits.Run.HistoryBytes = 10, 1<<20
	})
	id := contract.NewResponseID()
	request := asked(`{"input":"hi","tools":[{"type":"mcp","server_label":"a","server_url":"` + server + `","allowed_tools":["echo"]}]}`)
	request.Batch, request.Return = "batch_"+uuid.NewString(), contract.ReturnResponse
	run := r.begin(t, id, request)
	first := run.GetRunID() // until it is waited for
	var out contract.Outcome
	if err := run.Get(t.Context(), &out); err != nil || !strings.Contains(string(out.Response), "at last") {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	if last := must(r.temporal.DescribeWorkflow(t.Context(), id, "")); last.WorkflowExecution.RunID == first {
		t.Fatal("it did not go on as a new execution")
	}
	r.get(t, apiKey, "/v1/responses/"+id).want(t, http.StatusOK, `"status":"completed"`, "at last")
	r.get(t, apiKey, "/v1/responses/"+id+"/input_items").want(t, http.StatusOK, `"text":"hi"`)
	r.awaitListed(t, "?batch="+request.Batch, id)
}

// TestRunBeforeItIsAccepted: between its start and its first step a run is nothing that the API knows, and nothing breaks on it.
func TestRunBeforeItIsAccepted(t *testing.T) {
	t.Parallel()
	r := serve(t, nil) // no worker
	id := contract.NewResponseID()
	run := must(r.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: r.options.TaskQueue, WorkflowExecutionTimeout: time.Minute,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			workflows.Organization.ValueSet("acme"), workflows.Stored.ValueSet(true), workflows.User.ValueSet(id),
		),
	}, contract.ResponseName, contract.ResponseInput{Request: asked(`{"input":"hi"}`)}))
	if got := r.get(t, apiKey, "/v1/responses/"+id); got.status != http.StatusNotFound {
		t.Errorf("GET answers HTTP %d with %s", got.status, got.body)
	}
	if got := as(t, apiKey, http.MethodPost, r.url+"/v1/responses/"+id+"/cancel", ""); got.status != http.StatusNotFound {
		t.Errorf("cancel answers HTTP %d with %s", got.status, got.body)
	}
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		// Of this user alone: other tests have runs whose values this server cannot read.
		got := r.get(t, apiKey, "/v1/responses?user="+id)
		if got.status != http.StatusOK {
			t.Fatalf("HTTP %d with %s", got.status, got.body)
		}
		if strings.Contains(got.body, id) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is never listed, although whoever started it says that it is stored")
		}
	}
	if err := r.temporal.TerminateWorkflow(t.Context(), run.GetID(), "", "the test is over"); err != nil {
		t.Fatal(err)
	}
}
