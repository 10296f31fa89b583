package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// cancelWithin is how soon the request to a model or an MCP server must end when a run is cancelled.
const cancelWithin = time.Second

// watchEnds returns a channel that hears when each request to a test's model ends.
func (s *switchboard) watchEnds(name string) <-chan time.Time {
	ends := make(chan time.Time, 16)
	s.mu.Lock()
	defer s.mu.Unlock()
	model := s.to[name]
	s.to[name] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ends <- time.Now() }()
		model.ServeHTTP(w, r)
	})
	return ends
}

// silentWith never answers a call, and says when the caller has gone.
func silentWith(ends chan<- time.Time) mcptest.Answer {
	return func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		mcptest.Silent()(w, r, m)
		ends <- time.Now()
	}
}

// startHostile starts an MCP server and returns it as a tool called s, which needs no approval.
func startHostile(t *testing.T) (server *mcptest.Hostile, tool string) {
	t.Helper()
	server = mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, `{"type": "mcp", "server_label": "s", "server_url": "` + server.URL() + `", "require_approval": "never"}`
}

// underWay is a background run that is in the middle of a step.
type underWay struct {
	stack  *stack
	id     string
	stream *sse
	// begun are the events up to the step.
	begun []frame
	// ends hears when the request of the step has ended.
	ends <-chan time.Time
}

// midTurn starts a run whose model has written some and then holds.
func midTurn(t *testing.T, s *stack) underWay {
	t.Helper()
	never := make(chan struct{})
	body := ask(t, modeltest.New(modeltest.Text(inPieces).HoldAfter(4, never)), `"input": "x", "background": true, "stream": true`)
	ends := suite.models.watchEnds(plugName(t))
	stream := postStream(t, s.url, body)
	begun := stream.until(t, inPieces[:3*pieceSize])
	return underWay{s, responseOf(t, begun).ID, stream, begun, ends}
}

// midCall starts a run whose MCP server does not answer the call.
func midCall(t *testing.T, s *stack) underWay {
	t.Helper()
	server, tool := startHostile(t)
	ends := make(chan time.Time, 16)
	server.On("tools/call", silentWith(ends))
	body := ask(t, modeltest.New(modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: "{}"})),
		`"input": "x", "background": true, "stream": true, "tools": [%s]`, tool)
	stream := postStream(t, s.url, body)
	begun, err := stream.take(11) // created, queued, in_progress, the list's four and the call's first four
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	return underWay{s, responseOf(t, begun).ID, stream, begun, ends}
}

// requestEnds waits for the end of the step's request and returns when that was.
func (u underWay) requestEnds(t *testing.T) time.Time {
	t.Helper()
	select {
	case at := <-u.ends:
		return at
	case <-time.After(startTimeout):
		t.Fatalf("the request goes on after %v", startTimeout)
		return time.Time{}
	}
}

// checkCancelled reads the stream to its end, which says that the run was cancelled, as GET and further requests to cancel it do.
func (u underWay) checkCancelled(t *testing.T) {
	t.Helper()
	frames := append(u.begun, u.stream.whole(t)...)
	events := checkWhole(t, frames)
	if last := events[len(events)-1]; last.Type != "response.incomplete" || last.Response.Status != "cancelled" {
		t.Errorf("the stream ends with %s", last.raw)
	}
	if got := u.stack.get(t, u.id); got.Status != "cancelled" || got.Error != nil {
		t.Errorf("got status %s, error %+v", got.Status, got.Error)
	}
	if again := u.stack.send(t, http.MethodPost, "/responses/"+u.id+"/cancel", "").decode(t); again.Status != "cancelled" {
		t.Errorf("cancelled again, the response is %s", again.Status)
	}
	refused(t, u.stack.send(t, http.MethodPost, "/agent/"+u.id+"/cancel", ""), http.StatusBadRequest, "has ended")
	if diff := difference(frames, replay(t, u.stack.url, u.id)); diff != "" {
		t.Errorf("read again: %s", diff)
	}
	checkReplay(t, u.stack, u.id)
}

// TestCancel: a cancelled run lets go of its model or MCP server at once, and everyone hears that it was cancelled.
func TestCancel(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*testing.T, underWay){
		"as OpenAI does": func(t *testing.T, u underWay) {
			got := u.stack.send(t, http.MethodPost, "/responses/"+u.id+"/cancel", "").decode(t)
			if got.ID != u.id || got.Status != "cancelled" {
				t.Errorf("got %s with status %s", got.ID, got.Status)
			}
		},
		"as the Agent API does": func(t *testing.T, u underWay) {
			a := u.stack.send(t, http.MethodPost, "/agent/"+u.id+"/cancel", "")
			var got map[string]string
			if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK {
				t.Fatalf("status %d, %v: %s", a.status, err, a.body)
			}
			if len(got) != 2 || got["response_id"] != u.id || got["status"] != "cancelling" {
				t.Errorf("got %s", a.body)
			}
			u.stack.awaitStatus(t, u.id, "cancelled")
		},
	}
	for when, start := range map[string]func(*testing.T, *stack) underWay{"mid-turn": midTurn, "mid-call": midCall} {
		for how, cancel := range ways {
			t.Run(when+" "+how, func(t *testing.T) {
				t.Parallel()
				inTime(t, func(t *testing.T) time.Duration {
					u := start(t, sharedStack(t))
					since := time.Now()
					cancel(t, u)
					took := u.requestEnds(t).Sub(since)
					u.checkCancelled(t)
					return took
				})
			})
		}
	}
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		s := sharedStack(t)
		for _, base := range []string{"/responses/", "/agent/"} {
			a := s.send(t, http.MethodPost, base+"resp_00000000-0000-4000-8000-000000000000/cancel", "")
			refused(t, a, http.StatusNotFound, "not found")
		}
	})
}

// inTime does something that must not take longer than [cancelWithin]. A machine that has too much to do may be late twice.
func inTime(t *testing.T, do func(t *testing.T) time.Duration) {
	t.Helper()
	var took []time.Duration
	for attempt := range 3 {
		t.Run(fmt.Sprint("attempt ", attempt), func(t *testing.T) { took = append(took, do(t).Round(time.Millisecond)) })
		if t.Failed() || took[attempt] <= cancelWithin {
			t.Logf("the request ended after %v", took)
			return
		}
	}
	t.Errorf("the request ended after %v, want %v at most", took, cancelWithin)
}

// TestClientThatLeaves: a run that nobody can ever read ends with its client; one that has a key or is in the background goes on.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	tests := []struct {
		name, members string
		key           bool
		goesOn        bool
	}{
		{name: "synchronous", members: `"stream": false`},
		{name: "stream", members: `"stream": true`},
		{name: "synchronous with a key", members: `"stream": false`, key: true, goesOn: true},
		{name: "stream with a key", members: `"stream": true`, key: true, goesOn: true},
		{name: "stream in the background", members: `"stream": true, "background": true`, goesOn: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mine := ownRuns(t)
			release := make(chan struct{})
			model := modeltest.New(modeltest.Text(inPieces).HoldAfter(4, release))
			body := ask(t, model, `"input": "x", %s`, test.members)
			ends := suite.models.watchEnds(plugName(t))
			var headers []string
			if test.key {
				headers = []string{"Idempotency-Key", uuid.NewString()}
			}
			ctx, leave := context.WithCancel(t.Context())
			left := make(chan struct{})
			go func() {
				defer close(left)
				_, _ = send(ctx, http.MethodPost, s.url+"/v1/responses", apiKey, string(body), headers...) // it leaves
			}()
			if _, err := model.WaitRequest(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			id := s.awaitListed(t, mine, 1)[0].ID
			since := time.Now()
			leave()
			<-left
			if !test.goesOn {
				t.Logf("the request ended after %v", underWay{ends: ends}.requestEnds(t).Sub(since))
				if got := s.awaitStatus(t, id, "cancelled"); strings.Contains(got.text(), inPieces) {
					t.Errorf("got the text %q", got.text())
				}
				return
			}
			select {
			case <-ends:
				t.Fatal("the model's request has ended")
			case <-time.After(2 * cancelWithin):
			}
			close(release)
			if got := s.awaitStatus(t, id, "completed"); got.text() != inPieces {
				t.Errorf("got the text %q", got.text())
			}
		})
	}
}
