package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"perdure/internal/mcptest"
)

// drive has everything succeed and fail. It returns the session of an operator.
func (s *secretStack) drive(t *testing.T) (session string) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(8) // more would not be faster, and a busy machine would refuse some
	lists, calls := indiscreet()
	for name, answer := range lists {
		group.Go(func() error {
			server := s.mcp(t, "tools/list", answer)
			a := s.call(t, http.MethodPost, "/responses", `{"input":"`+content+`","tools":[`+secretTool(server.HTTP().URL)+`]}`)
			if want := !strings.HasPrefix(name, "fine"); (a.status == http.StatusFailedDependency) != want {
				t.Errorf("list %s: got status %d: %s", name, a.status, a.body)
			}
			return nil
		})
	}
	for name, answer := range calls {
		for _, stream := range []string{"false", "true"} {
			group.Go(func() error {
				server := s.mcp(t, "tools/call", answer)
				a := s.call(t, http.MethodPost, "/responses",
					`{"input":"please call `+content+`","stream":`+stream+`,"tools":[`+secretTool(server.HTTP().URL)+`]}`)
				if a.status != http.StatusOK || server.Count("tools/call") == 0 {
					t.Errorf("call %s: got status %d: %s", name, a.status, a.body)
				}
				return nil
			})
		}
	}
	for _, words := range []string{"refuse", "object", "break", "babble", "fail", "move"} {
		for _, stream := range []string{"false", "true"} {
			group.Go(func() error {
				s.call(t, http.MethodPost, "/responses", `{"input":"please `+words+`","stream":`+stream+`}`)
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	s.driveOne(t)
	s.driveRefusals(t)
	s.driveOutside(t)
	s.driveSocket(t)
	s.driveBucket(t)
	s.driveConnectors(t)
	s.driveFiles(t)
	s.drivePlayground(t)
	session = s.driveCodec(t)
	s.driveCommands(t)
	s.driveKill(t)
	return session
}

// driveOne does to a response what can be done to one.
func (s *secretStack) driveOne(t *testing.T) {
	t.Helper()
	_, calls := indiscreet()
	called := s.mcp(t, "tools/call", calls["text"])
	id := s.call(t, http.MethodPost, "/responses", `{"input":"please call `+content+`","tools":[`+secretTool(called.HTTP().URL)+`]}`).decode(t).ID
	for _, path := range []string{"", "?stream=true", "/input_items"} {
		if a := s.call(t, http.MethodGet, "/responses/"+id+path, ""); a.status != http.StatusOK {
			t.Errorf("GET %s: status %d: %s", path, a.status, a.body)
		}
	}
	s.call(t, http.MethodGet, "/responses", "")
	s.call(t, http.MethodPost, "/responses", `{"input":"go on","previous_response_id":"`+id+`"}`)
	s.call(t, http.MethodPost, "/responses/"+id+"/cancel", "")
	conversation := s.call(t, http.MethodPost, "/conversations", `{"items":[{"type":"message","role":"user","content":"`+content+`"}]}`)
	var c struct{ ID string }
	if err := json.Unmarshal(conversation.body, &c); err != nil || c.ID == "" {
		t.Fatalf("no conversation: %s", conversation.body)
	}
	s.call(t, http.MethodPost, "/responses", `{"input":"go on","conversation":"`+c.ID+`"}`)
	s.call(t, http.MethodGet, "/conversations/"+c.ID+"/items", "")
	for _, input := range []string{"go on", "please refuse"} { // the webhook hears of them
		server := s.mcp(t, "tools/list", lists())
		var r response
		a := s.call(t, http.MethodPost, "/responses", `{"background":true,"input":"`+input+`","tools":[`+secretTool(server.HTTP().URL)+`]}`)
		if err := json.Unmarshal(a.body, &r); err != nil {
			t.Fatal(err)
		}
		s.awaitEnd(t, r.ID)
	}
}

// lists is a server that answers as it should.
func lists() mcptest.Answer {
	return mcptest.Result(`{"tools":[{"name":"t","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}`)
}

// awaitEnd polls a response until it has ended.
func (s *secretStack) awaitEnd(t *testing.T, id string) {
	t.Helper()
	deadline := time.After(startTimeout)
	for {
		switch r := s.call(t, http.MethodGet, "/responses/"+id, "").decode(t); r.Status {
		case "queued", "in_progress":
		default:
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the response has not ended after %v", startTimeout)
		case <-time.After(pollEvery):
		}
	}
}

// driveRefusals sends secrets where none belong.
func (s *secretStack) driveRefusals(t *testing.T) {
	t.Helper()
	secret, quoted := canaries["authorization"], url.QueryEscape(canaries["authorization"])
	tool := func(members string) string {
		return `{"input":"x","tools":[{"type":"mcp","server_label":"s",` + members + `}]}`
	}
	for _, body := range []string{
		tool(`"server_url":"https://user:` + quoted + `@mcp.example.com/mcp"`),
		tool(`"server_url":"http://mcp.example.com/` + quoted + `"`),
		tool(`"server_url":"https://10.0.0.1/` + quoted + `"`),
		tool(`"server_url":"https://mcp.example.com/%zz` + quoted + `"`),
		tool(`"server_url":"https://mcp.example.com/#` + quoted + `"`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `\n"`),
		tool(`"server_url":"https://mcp.example.com","authorization":{"` + secret + `":1}`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `","headers":{"Authorization":"` + secret + `"}`),
		tool(`"server_url":"https://mcp.example.com","headers":{"Host":"` + secret + `"}`),
		tool(`"server_url":"https://mcp.example.com","headers":{"X-Canary":["` + secret + `"]}`),
		tool(`"server_url":"https://mcp.example.com","headers":"` + secret + `"`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `","allowed_tools":"all"`),
		tool(`"authorization":"` + secret + `"`),
		tool(`"server_url":"https://mcp.example.com","authorization":"` + secret + `"`)[1:],
	} {
		if a := s.call(t, http.MethodPost, "/responses", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: got status %d: %s", body, a.status, a.body)
		}
	}
	// What Temporal would keep for as long as a schedule has no place for a secret.
	for _, member := range []string{`"authorization":"` + secret + `"`, `"headers":{"X-Canary":"` + secret + `"}`} {
		request := tool(`"server_url":"https://mcp.example.com",` + member)
		if a := s.call(t, http.MethodPost, "/schedules", `{"interval":60,"request":`+request+`}`); a.status != http.StatusBadRequest {
			t.Errorf("%s in a schedule: got status %d: %s", member, a.status, a.body)
		}
	}
	a, err := send(t.Context(), http.MethodGet, s.url+"/v1/responses", secret, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.haul.answer(a); a.status != http.StatusUnauthorized {
		t.Errorf("got status %d for an unknown key", a.status)
	}
}

// driveKill has a worker die in the middle of a call.
func (s *secretStack) driveKill(t *testing.T) {
	t.Helper()
	server := s.mcp(t, "tools/call", mcptest.Silent())
	body := `{"input":"please call ` + content + `","background":true,"tools":[` + secretTool(server.HTTP().URL) + `]}`
	var r response
	if err := json.Unmarshal(s.call(t, http.MethodPost, "/responses", body, "Idempotency-Key", canaries["idempotency key"]).body, &r); err != nil {
		t.Fatal(err)
	}
	if err := server.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	s.worker.kill()
	if err := s.startWorker(); err != nil {
		t.Fatal(err)
	}
	s.awaitEnd(t, r.ID)
	other := strings.Replace(body, "please call", "something else", 1)
	if a := s.call(t, http.MethodPost, "/responses", other, "Idempotency-Key", canaries["idempotency key"]); a.status != http.StatusConflict {
		t.Errorf("another request with the same key has status %d: %s", a.status, a.body)
	}
	if !bytes.Contains(s.call(t, http.MethodGet, "/responses/"+r.ID, "").body, []byte("outcome of this call is unknown")) {
		t.Error("the call that was cut off does not say so")
	}
}

// driveSocket makes requests over a WebSocket.
func (s *secretStack) driveSocket(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	//nolint:bodyclose // Dial reads it
	conn, resp, err := websocket.Dial(ctx, s.url+"/v1/responses", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + canaries["API key"]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // the test has what it wants
	s.haul.answer(answer{header: resp.Header})
	conn.SetReadLimit(-1)
	lists, calls := indiscreet()
	good, bad := s.mcp(t, "tools/call", calls["text"]), s.mcp(t, "tools/list", lists["unauthorized"])
	for _, base := range []string{good.HTTP().URL, bad.HTTP().URL, "https://user:" + url.QueryEscape(canaries["authorization"]) + "@a"} {
		message := `{"type":"response.create","input":"please call ` + content + `","tools":[` + secretTool(base) + `]}`
		if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		for ended := false; !ended; {
			_, data, err := conn.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s.haul.add("answers", data)
			var e struct{ Type string }
			if err := json.Unmarshal(data, &e); err != nil {
				t.Fatal(err)
			}
			ended = e.Type == "error" || e.Type == "response.completed" || e.Type == "response.failed"
		}
	}
}
