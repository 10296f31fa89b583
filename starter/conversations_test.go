package starter

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/workflows"
)

// serveConversations runs a starter with a worker for conversations.
func serveConversations(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	r := serve(t, nil, change...)
	w := sdkworker.New(r.temporal, r.options.TaskQueue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(workflows.Conversation, workflow.RegisterOptions{Name: workflows.ConversationName})
	steps := activities.Activities{Options: activities.Options{Blobs: r.options.Blobs}}
	w.RegisterActivityWithOptions(steps.ConversationAppend, activity.RegisterOptions{Name: activities.ConversationAppendName})
	w.RegisterActivityWithOptions(steps.ConversationDeleteItem, activity.RegisterOptions{Name: activities.ConversationDeleteItemName})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return r
}

// ask sends a request for a path below /v1/conversations with a key.
func (r *rig) ask(t *testing.T, key, method, path, body string) answer {
	t.Helper()
	return as(t, key, method, r.url+"/v1/conversations"+path, body)
}

func decoded[T any](t *testing.T, a answer) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	return out
}

// shownItems is a list of items as a client sees it.
type shownItems struct {
	Object string
	Data   []struct {
		ID, Type, Status string
		Content          []struct{ Text string }
	}
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore bool    `json:"has_more"`
}

// texts are those of the messages in the list, and "…" if there are more.
func (l shownItems) texts(t *testing.T) string {
	t.Helper()
	var out []string
	for _, item := range l.Data {
		if item.ID == "" || item.Type != "message" || item.Status != "completed" {
			t.Errorf("item %+v", item)
		}
		out = append(out, item.Content[0].Text)
	}
	if n := len(l.Data); n > 0 && (*l.FirstID != l.Data[0].ID || *l.LastID != l.Data[n-1].ID) || l.Object != "list" {
		t.Errorf("list %+v", l)
	}
	if l.HasMore {
		out = append(out, "…")
	}
	return strings.Join(out, " ")
}

func TestConversationLifecycle(t *testing.T) {
	t.Parallel()
	r := serveConversations(t)
	created := decoded[responses.Conversation](t, r.ask(t, apiKey, "POST", "",
		`{"metadata":{"k":"v"},"items":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`))
	if age := time.Since(time.Unix(created.CreatedAt, 0)); created.Object != "conversation" || age < 0 || age > time.Minute {
		t.Errorf("created %+v", created)
	}
	path := "/" + created.ID
	if diff := cmp.Diff(created, decoded[responses.Conversation](t, r.ask(t, apiKey, "GET", path, ""))); diff != "" {
		t.Errorf("retrieved (-want +got):\n%s", diff)
	}
	created.Metadata = map[string]string{"k": "w", "l": "x"}
	if diff := cmp.Diff(created, decoded[responses.Conversation](t, r.ask(t, apiKey, "POST", path, `{"metadata":{"k":"w","l":"x"}}`))); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}

	added := decoded[shownItems](t, r.ask(t, apiKey, "POST", path+"/items",
		`{"items":[{"role":"user","content":"c"},{"role":"user","content":"`+strings.Repeat("d", 20_000)+`"},{"role":"user","content":"e"}]}`))
	if got := strings.ReplaceAll(added.texts(t), strings.Repeat("d", 20_000), "d"); got != "c d e" {
		t.Errorf("added %s", got)
	}
	list := func(query string) shownItems {
		return decoded[shownItems](t, r.ask(t, apiKey, "GET", path+"/items"+query, ""))
	}
	last, c := added.Data[2].ID, added.Data[0].ID
	for query, want := range map[string]string{
		"?order=asc&limit=3":                                 "a b c …",
		"?limit=1&include[]=x":                               "e …",
		"?order=asc&after=" + added.Data[1].ID:               "e",
		"?after=" + c:                                        "b a",
		"?limit=1&after=" + c:                                "b …",
		"?order=asc&limit=100&after=" + last:                 "",
		"?limit=100&order=desc&after=" + list("").Data[3].ID: "a",
	} {
		if got := list(query).texts(t); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	item := decoded[struct{ ID string }](t, r.ask(t, apiKey, "GET", path+"/items/"+c, ""))
	if item.ID != c {
		t.Errorf("retrieved item %+v", item)
	}
	if got := decoded[responses.Conversation](t, r.ask(t, apiKey, "DELETE", path+"/items/"+c, "")); got.ID != created.ID {
		t.Errorf("item deleted from %+v", got)
	}
	if got := list("?order=asc&limit=2").texts(t); got != "a b …" {
		t.Errorf("left are %s", got)
	}

	got := decoded[map[string]any](t, r.ask(t, apiKey, "DELETE", path, ""))
	if diff := cmp.Diff(map[string]any{"id": created.ID, "object": "conversation.deleted", "deleted": true}, got); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	for _, request := range conversationRequests(path, last) {
		if got := r.ask(t, apiKey, request[0], request[1], request[2]); got.failed(t).Status != http.StatusNotFound {
			t.Errorf("%s %s of a deleted conversation: HTTP %d", request[0], request[1], got.status)
		}
	}
}

// conversationRequests are all that can be asked of a conversation: method, path and body.
func conversationRequests(path, item string) [][3]string {
	return [][3]string{
		{"GET", path, ""},
		{"POST", path, `{"metadata":{}}`},
		{"GET", path + "/items", ""},
		{"POST", path + "/items", `{"items":[{"role":"user","content":"x"}]}`},
		{"GET", path + "/items/" + item, ""},
		{"DELETE", path + "/items/" + item, ""},
		{"DELETE", path, ""},
	}
}

func TestConversationsOfOthersAreUnknown(t *testing.T) {
	t.Parallel()
	r := serveConversations(t)
	created := decoded[responses.Conversation](t, r.ask(t, apiKey, "POST", "", `{"items":[{"id":"mine","role":"user","content":"a"}]}`))
	for name, path := range map[string]string{
		"another organization's": "/" + created.ID, "unknown": "/conv_" + uuid.NewString(), "no ID": "/resp_1",
	} {
		for _, request := range conversationRequests(path, "mine") {
			got := r.ask(t, otherKey, request[0], request[1], request[2])
			if shown := got.failed(t); shown.Status != http.StatusNotFound || shown.Type != responses.ErrNotFound {
				t.Errorf("%s, %s %s: HTTP %d with %s", name, request[0], request[1], got.status, got.body)
			}
		}
	}
	// None of them did anything.
	items := decoded[shownItems](t, r.ask(t, apiKey, "GET", "/"+created.ID+"/items", ""))
	if got := items.texts(t); got != "a" || items.Data[0].ID != "mine" {
		t.Errorf("items %+v", items)
	}
	for path, body := range map[string]string{"/items": `{"items":[]}`, "": `{}`, "/items?x": `{"items":[{"role":"x"}]}`} {
		if got := r.ask(t, apiKey, "POST", "/"+created.ID+path, body); got.failed(t).Status != http.StatusBadRequest {
			t.Errorf("%s with %s: HTTP %d", path, body, got.status)
		}
	}
	for _, path := range []string{"/items?limit=0", "/items?limit=101", "/items?order=up", "/items?after=nothing"} {
		if got := r.ask(t, apiKey, "GET", "/"+created.ID+path, ""); got.failed(t).Status != http.StatusBadRequest {
			t.Errorf("%s: HTTP %d", path, got.status)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := r.ask(t, apiKey, method, "/"+created.ID+"/items/nothing", ""); got.failed(t).Status != http.StatusNotFound {
			t.Errorf("%s of an unknown item: HTTP %d", method, got.status)
		}
	}
}

// A run's items are there for whoever asks after the run has given them to the conversation, and only once.
func TestConversationTakesTheItemsOfARun(t *testing.T) {
	t.Parallel()
	r := serveConversations(t)
	created := decoded[responses.Conversation](t, r.ask(t, apiKey, "POST", "", ""))
	s := newStarter(t.Context(), t.Context(), r.options)
	added, err := s.newItems(t.Context(), "resp_x", []responses.Item{
		&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("before")}},
		&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText("question")}},
		&responses.Message{ID: "msg_x_1", Role: responses.RoleUser, Content: []responses.Part{responses.InputText("more")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := r.temporal.SignalWorkflow(t.Context(), created.ID, "", workflows.ConversationAppendName,
			workflows.ConversationAppend{ResponseID: "resp_x", Transcript: added, From: 1})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.conversation(t.Context(), alice, created.ID)
	if err != nil || got.transcript.Len() != 2 {
		t.Fatalf("%d items, error %v", got.transcript.Len(), err)
	}
	if got := decoded[shownItems](t, r.ask(t, apiKey, "GET", "/"+created.ID+"/items?order=asc", "")).texts(t); got != "question more" {
		t.Errorf("items %s", got)
	}
	eve := alice
	eve.Organization = "other"
	_, err = s.conversation(t.Context(), eve, created.ID)
	if shown := wireError(err); shown == nil || shown.Status != http.StatusNotFound || shown.Param != "conversation" {
		t.Errorf("another organization gets %v", err)
	}
}
