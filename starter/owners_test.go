package starter

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/workflow"

	"perdure/internal/blob"
	"perdure/internal/responses"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// long is an item that no history holds itself.
func long(name string) string { return said(name, 2000) }

// medium is an item of which a few fill a segment.
func medium(name string) string { return said(name, 600) }

func said(name string, length int) string {
	return `{"role":"user","content":"` + name + strings.Repeat(" and so on", length) + `"}`
}

// withDir has a starter keep its values where the test can look.
func withDir(dir string) func(*Options) {
	return func(o *Options) { o.Blobs = must(blob.Open(blob.Options{Dir: dir})) }
}

// textsOf reads a transcript as a process does that has just started.
func textsOf(t *testing.T, dir, owner string, tr transcript.Transcript) (string, error) {
	t.Helper()
	items, err := transcript.Load(t.Context(), must(blob.Open(blob.Options{Dir: dir})).For(owner), tr, 0)
	var names []string
	for _, item := range items {
		if m, ok := item.(*responses.Message); ok {
			name, _, _ := strings.Cut(m.Content[0].Text, " ")
			names = append(names, name)
		}
	}
	return strings.Join(names, " "), err
}

// Each response of a chain has all that it needs, so that those before it can be deleted or expire in any order.
func TestResponsesOutliveTheirAncestors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inputs := make(chan workflows.ResponseInput, 10)
	r := serve(t, func(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		if !workflow.IsReplaying(ctx) {
			inputs <- in
		}
		return saying("said")(ctx, in)
	}, withDir(dir))
	const after = `,"previous_response_id":"`
	first := r.create(t, `{"input":[`+long("a")+","+long("b")+","+medium("c")+","+medium("C")+","+medium("CC")+`]}`).response(t)
	second := r.create(t, `{"input":[`+long("d")+`]`+after+first.ID+`"}`).response(t)
	third := r.create(t, `{"input":[`+long("e")+`]`+after+second.ID+`"}`).response(t)
	<-inputs
	<-inputs
	in := <-inputs
	if in.Input.Head == "" {
		t.Error("the conversation has no segments, so that they prove nothing")
	}
	for _, id := range []string{first.ID, second.ID} {
		if err := r.options.Blobs.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := textsOf(t, dir, third.ID, in.Input); err != nil || got != "a b c C CC said d said e" {
		t.Errorf("the conversation is %q, %v", got, err)
	}

	fourth := r.create(t, `{"input":[`+long("f")+`]`+after+third.ID+`"}`).response(t)
	in = <-inputs
	if err := r.options.Blobs.Remove(t.Context(), third.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := textsOf(t, dir, fourth.ID, in.Input); err != nil || got != "a b c C CC said d said e said f" {
		t.Errorf("the conversation is %q, %v", got, err)
	}
	// One whose values were removed a moment ago is not found, and takes nothing with it.
	got := r.create(t, `{"input":"hi"`+after+second.ID+`"}`)
	if shown := got.failed(t); shown.Param != "previous_response_id" {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
}

// A conversation and the responses in it need nothing of one another.
func TestConversationsOutliveTheirResponses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := serveConversations(t, withDir(dir))
	created := decoded[responses.Conversation](t, r.ask(t, apiKey, "POST", "", `{"items":[`+long("a")+`]}`))
	if got := r.ask(t, apiKey, "POST", "/"+created.ID+"/items", `{"items":[`+long("b")+`]}`); got.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", got.status, got.body)
	}
	s := newStarter(t.Context(), t.Context(), r.options)
	var items []responses.Item
	for _, name := range []string{"c", "d", "e"} {
		items = append(items, &responses.Message{Role: responses.RoleUser, Content: []responses.Part{
			responses.InputText(name + strings.Repeat(" and so on", 2000)),
		}})
	}
	run := must(s.newItems(t.Context(), "resp_x", items))
	err := r.temporal.SignalWorkflow(t.Context(), created.ID, "", workflows.ConversationAppendName,
		workflows.ConversationAppend{ResponseID: "resp_x", Transcript: run, From: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := must(s.conversation(t.Context(), alice, created.ID)) // which waits for the items
	if err := r.options.Blobs.Remove(t.Context(), "resp_x"); err != nil {
		t.Fatal(err)
	}
	if got, err := textsOf(t, dir, created.ID, b.transcript); err != nil || got != "a b d e" {
		t.Errorf("the conversation is %q, %v", got, err)
	}

	req := accepted(t, s, `{"input":[`+long("f")+`],"conversation":"`+created.ID+`"}`)
	in := must(s.runInput(t.Context(), alice, "resp_y", req, b, responses.DialectAgent))
	if err := r.options.Blobs.Remove(t.Context(), created.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := textsOf(t, dir, "resp_y", in.Input); err != nil || got != "a b d e f" || in.InputFrom != 4 {
		t.Errorf("the run begins with %q, %v, of which %d are not its own", got, err, in.InputFrom)
	}
	_, err = s.runInput(t.Context(), alice, "resp_z", req, b, responses.DialectAgent)
	var shown *responses.Error
	if !errors.As(err, &shown) || shown.Status != http.StatusNotFound {
		t.Errorf("from a conversation that is gone: %v", err)
	}
}

// Nobody stores anything in somebody else's conversation.
func TestForeignConversationTakesNoValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := serveConversations(t, withDir(dir))
	created := decoded[responses.Conversation](t, r.ask(t, apiKey, "POST", "", ""))
	for _, tt := range []struct {
		key    string
		status int
		kept   bool
	}{{otherKey, http.StatusNotFound, false}, {apiKey, http.StatusOK, true}} {
		if got := r.ask(t, tt.key, "POST", "/"+created.ID+"/items", `{"items":[`+long("a")+`]}`); got.status != tt.status {
			t.Errorf("HTTP %d with %s, want %d", got.status, got.body, tt.status)
		}
		if kept := must(filepath.Glob(filepath.Join(dir, "*", "runs", "*", created.ID, "*"))); len(kept) > 0 != tt.kept {
			t.Errorf("with the key %s, %v are kept", tt.key, kept)
		}
	}
}
