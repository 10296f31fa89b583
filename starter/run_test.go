package starter

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/responses"
	"perdure/workflows"
)

const hello = `{"input":"hi"}`

// outcome is what a run came to that added nothing.
func outcome(in workflows.ResponseInput, status string) workflows.Outcome {
	return workflows.Outcome{Status: status, Model: in.Models[0], Conversation: in.Input, OutputFrom: in.Input.Len()}
}

func TestEndsOfRuns(t *testing.T) {
	t.Parallel()
	fail := func(kind string, details ...any) error {
		return temporal.NewApplicationErrorWithOptions("what the client may know", kind,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: details, Cause: errors.New("secret cause")})
	}
	tests := []struct {
		name   string
		run    func(workflow.Context, workflows.ResponseInput) (workflows.Outcome, error)
		status int
		kind   string // of the error, or the response's status
		logged string
	}{
		{"completed", func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			return outcome(in, responses.ResponseCompleted), nil
		}, 200, "completed", ""},
		{"incomplete", func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			out := outcome(in, responses.ResponseIncomplete)
			out.Reason = responses.IncompleteMaxSteps
			return out, nil
		}, 200, "incomplete max_steps", ""},
		{"failed", func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			out := outcome(in, responses.ResponseFailed)
			out.Error = &responses.RunError{Code: "c", Message: "the model is gone", Type: "t"}
			return out, fail(workflows.ErrTypeFailed, out)
		}, 200, "failed the model is gone", ""},
		{"cancelled", func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			out := outcome(in, responses.ResponseCancelled)
			return out, temporal.NewCanceledError(out)
		}, 200, "cancelled", ""},
		{"discovery", func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			out := outcome(in, responses.ResponseFailed)
			out.Error = &responses.RunError{Message: "what the client may know"}
			return workflows.Outcome{}, fail(workflows.ErrTypeDiscovery, out)
		}, 424, responses.ErrExternalConnector, ""},
		{"impossible", func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			out := outcome(in, responses.ResponseFailed)
			out.Error = &responses.RunError{Message: "what the client may know", Param: "tools"}
			return workflows.Outcome{}, fail(workflows.ErrTypeInvalid, out)
		}, 400, responses.ErrInvalidRequest, ""},
		{"failed without an outcome", func(workflow.Context, workflows.ResponseInput) (workflows.Outcome, error) {
			return workflows.Outcome{}, fail(workflows.ErrTypeFailed)
		}, 500, responses.ErrInternal, "what the client may know"},
		{"unknown failure", func(workflow.Context, workflows.ResponseInput) (workflows.Outcome, error) {
			return workflows.Outcome{}, fail("surprise")
		}, 500, responses.ErrInternal, "surprise"},
		{"output that is gone", func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
			out := outcome(in, responses.ResponseCompleted)
			out.Conversation.Head, out.Conversation.Folded = "sha256-"+"0000000000000000000000000000000000000000000000000000000000000000", 4
			return out, nil
		}, 500, responses.ErrInternal, "blob: not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, tt.run)
			got := r.create(t, hello)
			if strings.Contains(got.body, "secret") {
				t.Errorf("the client sees %s", got.body)
			}
			if tt.logged != "" {
				awaitLog(t, r.log, tt.logged)
			}
			if tt.status != http.StatusOK {
				if shown := got.failed(t); got.status != tt.status || shown.Type != tt.kind {
					t.Errorf("HTTP %d with %s", got.status, got.body)
				}
				return
			}
			out := got.response(t)
			text := out.Status
			if out.IncompleteDetails != nil {
				text += " " + out.IncompleteDetails.Reason
			}
			if out.Error != nil {
				text += " " + out.Error.Message
			}
			if text != tt.kind || out.Model != "p/m" || (out.CompletedAt != nil) != (tt.kind == "completed") {
				t.Errorf("HTTP %d with %s", got.status, got.body)
			}
		})
	}
}

// discoveryFailure is the error of a run whose servers could not be listed.
func discoveryFailure(out workflows.Outcome) error {
	return temporal.NewApplicationErrorWithOptions("no server", workflows.ErrTypeDiscovery,
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{out}})
}

// waiting is a workflow that goes on when it is cancelled, or told to with the signal "go".
func waiting(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
	s := workflow.NewSelector(ctx)
	var err error
	s.AddReceive(workflow.GetSignalChannel(ctx, "go"), func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) })
	s.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { err = ctx.Err() })
	s.Select(ctx)
	return outcome(in, responses.ResponseCompleted), err
}

// started waits for the run of the one request so far and returns its ID, which is the response's.
func (r *rig) started(t *testing.T) string {
	t.Helper()
	awaitLog(t, r.log, "run started")
	_, after, _ := strings.Cut(r.log.String(), "response=")
	id, _, _ := strings.Cut(after, " ")
	return id
}

// status waits until a run is no longer as it was.
func (r *rig) status(t *testing.T, id string, not enumspb.WorkflowExecutionStatus) enumspb.WorkflowExecutionStatus {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		d, err := r.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := d.GetWorkflowExecutionInfo().GetStatus(); got != not {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("the run is still %s", not)
		}
	}
}

// request posts in the background.
func (r *rig) request(ctx context.Context) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		a, err := post(ctx, r.url+"/v1/responses", hello)
		if err != nil {
			a.body = err.Error()
		}
		out <- a
	}()
	return out
}

func TestRunThatTakesTooLong(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.RunTimeout = time.Second })
	got := r.create(t, hello)
	if shown := got.failed(t); got.status != http.StatusGatewayTimeout || shown.Type != "gateway_timeout" {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
}

func TestRunThatAnOperatorTerminates(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting)
	answered := r.request(t.Context())
	if err := r.temporal.TerminateWorkflow(t.Context(), r.started(t), "", "secret reason"); err != nil {
		t.Fatal(err)
	}
	got := <-answered
	if shown := got.failed(t); got.status != http.StatusBadGateway || shown.Type != responses.ErrBadGateway || strings.Contains(got.body, "secret") {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
}

func TestClientThatLeavesCancelsItsRun(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting)
	ctx, leave := context.WithCancel(t.Context())
	answered := r.request(ctx)
	id := r.started(t)
	leave()
	<-answered
	if got := r.status(t, id, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING); got != enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED {
		t.Errorf("the run is %s", got)
	}
	if strings.Contains(r.log.String(), "request failed") {
		t.Errorf("the log takes it for a failure:\n%s", r.log)
	}
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting)
	answered := r.request(t.Context())
	id := r.started(t)
	r.stop()
	// The listener is closed first.
	for {
		if _, err := do(t.Context(), http.MethodGet, r.url+"/healthz", http.NoBody); err != nil {
			break
		}
	}
	if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got.response(t).ID != id {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestDrainLetsGoOfLongRuns(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.Grace = 100 * time.Millisecond })
	answered := r.request(t.Context())
	id := r.started(t)
	r.stop()
	got := <-answered
	if shown := got.failed(t); got.status != http.StatusServiceUnavailable || !strings.Contains(shown.Message, "the run goes on as "+id) {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	if got := r.status(t, id, enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED); got != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("the run is %s", got)
	}
	if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
		t.Fatal(err)
	}
	if got := r.status(t, id, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING); got != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
		t.Errorf("the run is %s", got)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	r := serve(t, nil)
	got, err := do(t.Context(), http.MethodGet, r.url+"/readyz", http.NoBody)
	if err != nil || got.status != http.StatusOK || got.body != `{"status":"ready"}`+"\n" {
		t.Errorf("HTTP %d with %s, error %v", got.status, got.body, err)
	}
}

// A run can be found by who started it, and by what it uses.
func TestRunIsLabelled(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting)
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = post(ctx, r.url+"/v1/responses", `{"input":"hi","model":"n","tools":[
			{"type":"mcp","server_label":"docs","server_url":"https://docs.example"},
			{"type":"mcp","server_label":"wiki","server_url":"https://wiki.example"}]}`)
	}()
	id := r.started(t)
	d, err := r.temporal.DescribeWorkflow(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	organization, _ := d.TypedSearchAttributes.GetKeyword(workflows.Organization)
	user, _ := d.TypedSearchAttributes.GetKeyword(workflows.User)
	model, _ := d.TypedSearchAttributes.GetKeyword(workflows.Model)
	servers, _ := d.TypedSearchAttributes.GetKeywordList(workflows.Servers)
	status, _ := d.TypedSearchAttributes.GetKeyword(workflows.Status)
	got := strings.Join([]string{organization, user, model, strings.Join(servers, "+"), status}, " ")
	if want := "acme alice p/n docs+wiki in_progress"; got != want {
		t.Errorf("search attributes %q, want %q", got, want)
	}
	if summary, err := d.GetStaticSummary(); err != nil || summary != "p/n · docs, wiki" {
		t.Errorf("summary %q, error %v", summary, err)
	}
	leave()
	<-answered
}

func TestErrorsOfServing(t *testing.T) {
	t.Parallel()
	o, _ := newOptions(t)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	l.Close()
	if err := Run(t.Context(), l, o); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v from a closed listener", err)
	}
}

func TestResponseObjectIsWhole(t *testing.T) {
	t.Parallel()
	r := serve(t, func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		return outcome(in, responses.ResponseCompleted), nil
	})
	got := r.create(t, `{"input":"hi","metadata":{"a":"b"}}`)
	var object map[string]any
	if err := json.Unmarshal([]byte(got.body), &object); err != nil {
		t.Fatal(err)
	}
	created, _ := object["created_at"].(float64)
	if id, _ := object["id"].(string); !strings.HasPrefix(id, "resp_") || time.Since(time.Unix(int64(created), 0)) > time.Minute {
		t.Errorf("id %v, created_at %v", object["id"], created)
	}
	if metadata, _ := object["metadata"].(map[string]any); metadata["a"] != "b" || object["output"] == nil || object["usage"] == nil {
		t.Errorf("%s", got.body)
	}
}
