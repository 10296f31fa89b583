package starter

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// saying is a run in which the model says a text.
func saying(text string) func(workflow.Context, workflows.ResponseInput) (workflows.Outcome, error) {
	return func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		out := outcome(in, responses.ResponseCompleted)
		out.Conversation.Append(blob.Value{JSON: must(responses.MarshalItem(&responses.Message{
			ID: responses.ItemID(responses.TypeMessage, in.ResponseID, 0), Role: responses.RoleAssistant, Status: responses.StatusCompleted,
			Content: []responses.Part{responses.OutputText(text)},
		}, responses.DialectOpenAI))})
		out.Usage.InputTokens, out.Usage.TotalTokens = 70, 90
		return out, nil
	}
}

// shownCompaction is what tests look at of a compaction.
type shownCompaction struct {
	ID, Object string
	CreatedAt  int64 `json:"created_at"`
	Output     []struct {
		ID, Type, Role   string
		Content          []struct{ Type, Text string }
		EncryptedContent string `json:"encrypted_content"`
	}
	Usage responses.Usage
}

func TestCompact(t *testing.T) {
	t.Parallel()
	inputs := make(chan workflows.ResponseInput, 10)
	r := serve(t, func(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		select {
		case inputs <- in:
		default:
		}
		return saying("They spoke of fish.")(ctx, in)
	})
	first := r.create(t, `{"input":"first"}`).response(t)
	<-inputs
	a, err := post(t.Context(), r.url+"/v1/agent/compact", `{"model":"n","previous_response_id":"`+first.ID+
		`","instructions":"Be kind.","input":[{"role":"user","content":"second"},{"role":"assistant","content":"third"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	c := decoded[shownCompaction](t, a)
	if c.Object != "response.compaction" || !strings.HasPrefix(c.ID, "resp_") || c.CreatedAt == 0 || c.Usage.TotalTokens != 90 || len(c.Output) != 3 {
		t.Fatalf("compaction %s", a.body)
	}
	for i, text := range []string{"first", "second"} {
		if o := c.Output[i]; o.ID == "" || o.Type != "message" || o.Role != "user" || len(o.Content) != 1 || o.Content[0].Text != text {
			t.Errorf("item %d is %+v", i, o)
		}
	}
	item := c.Output[2]
	sealed := must(base64.StdEncoding.DecodeString(item.EncryptedContent))
	summary, err := r.options.Sealer.Open(sealed, secret.Binding{Purpose: "compaction", Organization: "acme"})
	if err != nil || string(summary) != "They spoke of fish." || item.Type != "compaction" || !strings.HasPrefix(item.ID, "cmp_") {
		t.Errorf("%q from %+v: %v", summary, item, err)
	}

	in := <-inputs
	items := must(transcript.Load(t.Context(), r.options.Blobs.For(in.ResponseID), in.Input, 0))
	var s activities.Settings
	if err := r.options.Blobs.For(in.ResponseID).Unpack(t.Context(), in.Settings, &s); err != nil {
		t.Fatal(err)
	}
	last, _ := items[len(items)-1].(*responses.Message)
	if len(items) != 5 || last == nil || last.Role != responses.RoleUser || last.Content[0].Text != compactRequest {
		t.Errorf("the model is asked with %d items, the last %+v", len(items), last)
	}
	if in.MaxSteps != 1 || len(in.Servers) != 0 || !s.Truncate || s.Instructions != "Be kind." || in.Models[0] != "p/n" {
		t.Errorf("input %+v with settings %+v", in, s)
	}
	if got, err := do(t.Context(), http.MethodGet, r.url+"/v1/responses/"+c.ID, nil, "Authorization", "Bearer "+apiKey); err != nil || got.status != 404 {
		t.Errorf("the run is shown to clients: HTTP %d, %v", got.status, err)
	}

	// The output is the input of a next request.
	var output struct{ Output json.RawMessage }
	if err := json.Unmarshal([]byte(a.body), &output); err != nil {
		t.Fatal(err)
	}
	r.create(t, `{"input":`+string(output.Output)+`}`).response(t)
}

// TestCompactOnce wants a repeated request to be answered with the compaction that there is.
func TestCompactOnce(t *testing.T) {
	t.Parallel()
	r := serve(t, saying("They spoke of fish."))
	var ids []string
	key := uuid.NewString()
	for range 2 {
		a, err := post(t.Context(), r.url+"/v1/responses/compact", `{"model":"m","input":"hi"}`, "Idempotency-Key", key)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, decoded[shownCompaction](t, a).ID)
	}
	if ids[0] != ids[1] {
		t.Errorf("compactions %v", ids)
	}
}

func TestCompactFails(t *testing.T) {
	t.Parallel()
	failing := func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		out := outcome(in, responses.ResponseFailed)
		out.Error = &responses.RunError{Code: "c", Message: "the model is gone", Type: "t"}
		return out, temporal.NewApplicationErrorWithOptions("gone", workflows.ErrTypeFailed,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{out}})
	}
	cut := func(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		out, err := saying("They spo")(ctx, in)
		out.Status, out.Reason = responses.ResponseIncomplete, responses.IncompleteMaxOutputTokens
		return out, err
	}
	for name, test := range map[string]struct {
		run        func(workflow.Context, workflows.ResponseInput) (workflows.Outcome, error)
		body       string
		status     int
		param, why string
	}{
		"failed":       {failing, `{"model":"m","input":"hi"}`, http.StatusBadGateway, "", "the model is gone"},
		"cut":          {cut, `{"model":"m","input":"hi"}`, http.StatusBadGateway, "", "max_output_tokens"},
		"silent":       {saying(" \n"), `{"model":"m","input":"hi"}`, http.StatusBadGateway, "", "no summary"},
		"no model":     {nil, `{"input":"hi"}`, http.StatusBadRequest, "model", "required"},
		"null model":   {nil, `{"model":null,"input":"hi"}`, http.StatusBadRequest, "model", "required"},
		"nothing":      {nil, `{"model":"m"}`, http.StatusBadRequest, "input", "required"},
		"unknown":      {nil, `{"model":"m","input":"hi","tools":[]}`, http.StatusBadRequest, "tools", "unknown field"},
		"not there":    {nil, `{"model":"m","previous_response_id":"resp_0"}`, http.StatusBadRequest, "previous_response_id", "not found"},
		"other server": {nil, `{"model":"z/z","input":"hi"}`, http.StatusBadRequest, "model", "z/z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, test.run)
			a, err := post(t.Context(), r.url+"/v1/responses/compact", test.body)
			if err != nil {
				t.Fatal(err)
			}
			if shown := a.failed(t); a.status != test.status || shown.Param != test.param || !strings.Contains(shown.Message, test.why) {
				t.Errorf("HTTP %d with %s", a.status, a.body)
			}
		})
	}
}

func TestRetainedMessagesAreTheLatest(t *testing.T) {
	t.Parallel()
	var items []responses.Item
	for range 5 {
		items = append(items, &responses.Message{
			Role: responses.RoleUser, Content: []responses.Part{responses.InputText(strings.Repeat("x", maxRetained/3-200))},
		})
	}
	items[4].(*responses.Message).Content[0].Text = "last"
	got := must(retained(items, responses.DialectAgent))
	if len(got) != 4 || !strings.Contains(string(got[3]), "last") {
		t.Errorf("kept %d messages", len(got))
	}
}
