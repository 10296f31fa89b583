package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/workflows"
)

// wsClient is a client's end of a WebSocket.
type wsClient struct {
	t    *testing.T
	conn *websocket.Conn
}

// wsEvent is a message as a client gets it.
type wsEvent struct {
	sseEvent
	Status int
	Error  struct{ Code, Message, Param, Type string }
}

func dialSocket(t *testing.T, url string) *wsClient {
	t.Helper()
	return dialSocketAs(t, url, apiKey)
}

func dialSocketAs(t *testing.T, url, key string) *wsClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	//nolint:bodyclose // Dial reads it
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + key}}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get(requestIDHeader) == "" {
		t.Error("the answer has no request ID")
	}
	t.Cleanup(func() { _ = conn.CloseNow() }) // the server may have closed it
	conn.SetReadLimit(-1)
	return &wsClient{t, conn}
}

func (c *wsClient) send(message string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *wsClient) next() (wsEvent, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	kind, data, err := c.conn.Read(ctx)
	if err != nil {
		return wsEvent{}, err
	}
	var e wsEvent
	if err := json.Unmarshal(data, &e); err != nil || kind != websocket.MessageText {
		c.t.Errorf("%v in a message of kind %v: %s", err, kind, data)
	}
	return e, nil
}

// turn sends a request and returns its events up to the last one.
func (c *wsClient) turn(message string) []wsEvent {
	c.t.Helper()
	c.send(message)
	return c.rest()
}

func (c *wsClient) rest() []wsEvent {
	c.t.Helper()
	var out []wsEvent
	for {
		e, err := c.next()
		if err != nil {
			c.t.Fatalf("after %d events: %v", len(out), err)
		}
		out = append(out, e)
		switch e.Type {
		case "error", "response.completed", "response.incomplete", "response.failed":
			return out
		}
	}
}

// closed wants the server to have closed the socket.
func (c *wsClient) closed(code websocket.StatusCode, reason string) {
	c.t.Helper()
	for {
		_, err := c.next()
		if err == nil {
			continue
		}
		var why websocket.CloseError
		if !errors.As(err, &why) || why.Code != code || !strings.Contains(why.Reason, reason) {
			c.t.Errorf("the socket ended with %v, want %v and %q", err, code, reason)
		}
		return
	}
}

func TestSocketTurns(t *testing.T) {
	t.Parallel()
	r := serve(t, saying("good morning"), func(o *Options) { o.Dialect = responses.DialectOpenAI })
	c := dialSocket(t, r.url+"/v1/responses")
	// The second waits for the first.
	c.send(`{"type":"response.create","input":"one","store":false}`)
	c.send(`{"type":"response.create","input":"two","stream":true}`)
	var ids []string
	for range 2 {
		events := c.rest()
		for i, e := range events {
			if e.Sequence != i {
				t.Errorf("event %d, %s, has the number %d", i, e.Type, e.Sequence)
			}
		}
		last := events[len(events)-1]
		if events[0].Type != "response.created" || last.Type != "response.completed" || events[0].Response.ID != last.Response.ID {
			t.Errorf("events %+v", events)
		}
		ids = append(ids, last.Response.ID)
	}
	if ids[0] == ids[1] {
		t.Error("two turns are one response")
	}
	// What is not stored goes on here, and nowhere else.
	next := fmt.Sprintf(`{"type":"response.create","input":"three","previous_response_id":%q}`, ids[0])
	if got := c.turn(next); got[len(got)-1].Type != "response.completed" {
		t.Errorf("events %+v", got)
	}
	again := dialSocket(t, r.url+"/v1/responses")
	for path, c := range map[string]*wsClient{"another socket": again, "another socket's Agent API": dialSocket(t, r.url+"/v1/agent")} {
		got := c.turn(next)[0]
		if got.Type != "error" || got.Status != 400 || got.Error.Code != "previous_response_not_found" || got.Error.Param != "previous_response_id" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	// What is stored goes on anywhere.
	if got := again.turn(strings.Replace(next, ids[0], ids[1], 1)); got[len(got)-1].Type != "response.completed" {
		t.Errorf("events %+v", got)
	}
}

func TestSocketForgetsWhatCouldNotGoOn(t *testing.T) {
	t.Parallel()
	r := serve(t, func(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		if in.MaxSteps != 13 {
			return saying("yes")(ctx, in)
		}
		out := outcome(in, responses.ResponseFailed)
		out.Error = &responses.RunError{Message: "no"}
		return out, temporal.NewApplicationErrorWithOptions("no", workflows.ErrTypeFailed,
			temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{out}})
	})
	c := dialSocket(t, r.url+"/v1/responses")
	for name, fault := range map[string]string{"run": `"max_steps":13`, "request": `"model":"z/z"`} {
		events := c.turn(`{"type":"response.create","input":"one","store":false}`)
		next := `{"type":"response.create","input":"two","store":false,"previous_response_id":"` + events[0].Response.ID + `"`
		if got := c.turn(next + `}`); got[len(got)-1].Type != "response.completed" {
			t.Fatalf("%s: events %+v", name, got)
		}
		if got := c.turn(next + `,` + fault + `}`); got[len(got)-1].Type == "response.completed" {
			t.Fatalf("%s: events %+v", name, got)
		}
		if got := c.turn(next + `}`)[0]; got.Error.Code != "previous_response_not_found" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSocketErrors(t *testing.T) {
	t.Parallel()
	r := serve(t, func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		if in.MaxSteps != 13 {
			return outcome(in, responses.ResponseCompleted), nil
		}
		out := outcome(in, responses.ResponseFailed)
		out.Error = &responses.RunError{Message: "no server"}
		return out, discoveryFailure(out)
	})
	c := dialSocket(t, r.url+"/v1/responses")
	for _, test := range []struct {
		message string
		status  int
		param   string
		kind    string
	}{
		{`{`, 400, "", "invalid_request_error"},
		{`[]`, 400, "", "invalid_request_error"},
		{`{"input":"hi"}`, 400, "type", "invalid_request_error"},
		{`{"type":"response.steer","input":"hi"}`, 400, "type", "invalid_request_error"},
		{`{"type":"response.create"}`, 400, "input", "invalid_request_error"},
		{`{"type":"response.create","input":"hi","background":true}`, 400, "background", "invalid_request_error"},
		{`{"type":"response.create","input":"hi","stream_id":"a"}`, 400, "stream_id", "invalid_request_error"},
		{`{"type":"response.create","input":"hi","generate":false}`, 400, "generate", "invalid_request_error"},
		{`{"type":"response.create","input":"hi","surprise":1}`, 400, "surprise", "invalid_request_error"},
		{`{"type":"response.create","input":"hi","max_steps":13}`, 424, "tools", "external_connector_error"},
	} {
		got := c.turn(test.message)
		if e := got[0]; len(got) != 1 || e.Type != "error" || e.Status != test.status || e.Error.Param != test.param || e.Error.Type != test.kind {
			t.Errorf("%s: %+v", test.message, got)
		}
	}
	// It is open all the same.
	if got := c.turn(`{"type":"response.create","input":"hi"}`); got[len(got)-1].Type != "response.completed" {
		t.Errorf("events %+v", got)
	}
	if err := c.conn.Write(t.Context(), websocket.MessageBinary, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	c.closed(websocket.StatusUnsupportedData, "text")
}

func TestSocketWantsAKey(t *testing.T) {
	t.Parallel()
	o, _ := newOptions(t)
	o.Temporal = lazy(t, deadAddress(t), o.Logger)
	url := handlers(t, newStarter(t.Context(), t.Context(), o).routes()).URL + "/v1/responses"
	_, resp, err := websocket.Dial(t.Context(), url, nil) //nolint:bodyclose // Dial reads it
	if err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestSocketBounds(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.Body = 1 << 10 })
	c := dialSocket(t, r.url+"/v1/responses")
	const message = `{"type":"response.create","input":"hi"}`
	c.send(message)
	r.started(t)
	for range maxWaitingTurns + 1 {
		c.send(message)
	}
	if e, err := c.next(); err != nil || e.Status != http.StatusTooManyRequests {
		t.Errorf("%+v, %v", e, err)
	}
	large := dialSocket(t, r.url+"/v1/responses")
	large.send(`{"type":"response.create","input":"` + strings.Repeat("x", 1<<10) + `"}`)
	large.closed(websocket.StatusMessageTooBig, "")
}

func TestSocketOfAClientThatLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*websocket.Conn) error{
		"with a word": func(c *websocket.Conn) error { return c.Close(websocket.StatusNormalClosure, "bye") },
		"without":     (*websocket.Conn).CloseNow,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, waiting)
			c := dialSocket(t, r.url+"/v1/responses")
			c.send(`{"type":"response.create","input":"hi"}`)
			id := r.started(t)
			if err := leave(c.conn); err != nil {
				t.Fatal(err)
			}
			if got := r.status(t, id, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING); got != enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED {
				t.Errorf("the run is %s", got)
			}
		})
	}
}

func TestSocketOfAStarterThatStops(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.Grace = 500 * time.Millisecond })
	idle := dialSocket(t, r.url+"/v1/responses")
	c := dialSocket(t, r.url+"/v1/responses")
	c.send(`{"type":"response.create","input":"hi"}`)
	id := r.started(t)
	r.stop()
	idle.closed(websocket.StatusGoingAway, "stopping")
	c.closed(websocket.StatusGoingAway, "the run goes on")
	select {
	case err := <-r.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the starter does not stop")
	}
	d, err := r.temporal.DescribeWorkflowExecution(t.Context(), id, "")
	if err != nil || d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("the run is %v, %v", d.GetWorkflowExecutionInfo().GetStatus(), err)
	}
}

// TestSocketOfARunThatEndsWhileTheStarterStops wants the grace to count for sockets, too.
func TestSocketOfARunThatEndsWhileTheStarterStops(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting)
	c := dialSocket(t, r.url+"/v1/responses")
	c.send(`{"type":"response.create","input":"hi"}`)
	id := r.started(t)
	r.stop()
	select {
	case err := <-r.ended:
		t.Fatalf("the starter did not wait for the socket: %v", err)
	case <-time.After(time.Second):
	}
	if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
		t.Fatal(err)
	}
	if got := c.rest(); got[len(got)-1].Type != "response.completed" {
		t.Errorf("events %+v", got)
	}
	c.closed(websocket.StatusGoingAway, "stopping")
}

// quickSockets serves a starter whose patience with sockets is short, without Temporal.
func quickSockets(t *testing.T, change func(*Starter)) string {
	t.Helper()
	o, _ := newOptions(t)
	o.Temporal = lazy(t, deadAddress(t), o.Logger)
	s := newStarter(t.Context(), t.Context(), o)
	change(s)
	return handlers(t, s.routes()).URL + "/v1/responses"
}

func TestSocketThatNobodyUses(t *testing.T) {
	t.Parallel()
	c := dialSocket(t, quickSockets(t, func(s *Starter) { s.socketIdle = 50 * time.Millisecond }))
	c.closed(websocket.StatusGoingAway, "no request")
}

func TestSocketOfAClientThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	// A ping that is not written in that time would cut the connection before the client could be told.
	url := quickSockets(t, func(s *Starter) { s.socketPing, s.slowClient = 20*time.Millisecond, time.Second })
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/v1/responses"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /v1/responses HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", conn.RemoteAddr(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn) // it answers nothing
	if err != nil || !strings.Contains(string(said), "client does not answer") {
		t.Errorf("%q, %v", said, err)
	}
}

// TestSocketOfAClientThatTakesNothing has a client that reads none of a large answer.
func TestSocketOfAClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	o, log := newOptions(t)
	r := serve(t, saying(strings.Repeat("x", 1<<20)), func(opts *Options) { o.TaskQueue, o.Blobs, o.Events = opts.TaskQueue, opts.Blobs, opts.Events })
	o.Temporal = r.temporal
	s := newStarter(t.Context(), t.Context(), o)
	s.slowClient, s.socketPing = 300*time.Millisecond, time.Hour
	c := dialSocket(t, handlers(t, s.routes()).URL+"/v1/responses")
	for range 8 {
		c.send(`{"type":"response.create","input":"hi"}`)
	}
	// What is on its way fills several megabytes of buffers first.
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	if err := log.Await(ctx, "client too slow"); err != nil {
		t.Fatal(err)
	}
}

// A key that was revoked starts nothing on a WebSocket that it has opened before, and neither does one that has lost what it takes.
func TestSocketOfAKeyThatIsRevoked(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*managed) error{
		"revoked": func(m *managed) error {
			keys, _, err := m.store.Keys(t.Context(), "acme", "alice", store.Page{})
			if err == nil {
				err = m.store.RevokeKey(t.Context(), identity.Operator("acme"), keys[0].ID)
			}
			return err
		},
		"its owner was removed": func(m *managed) error {
			return m.store.RemoveMember(t.Context(), identity.Operator("acme"), "alice")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, saying("good morning"))
			m := newManaged(t, func(o *Options) {
				o.Temporal, o.TaskQueue, o.Events, o.Blobs = r.temporal, r.options.TaskQueue, r.options.Events, r.options.Blobs
			})
			c := dialSocketAs(t, m.URL+"/v1/responses", m.keys["alice"])
			const create = `{"type":"response.create","input":"one"}`
			if events := c.turn(create); events[len(events)-1].Type != "response.completed" {
				t.Fatalf("events %+v", events)
			}
			if err := end(m); err != nil {
				t.Fatal(err)
			}
			// It was done elsewhere, so that this starter takes the key for good a little longer.
			eventually(t, "the key is not good any more", func() bool {
				_, ok, err := m.starter.callers.ofKey(t.Context(), m.keys["alice"])
				return err == nil && !ok
			})
			events := c.turn(create)
			if last := events[len(events)-1]; len(events) != 1 || last.Status != http.StatusUnauthorized || !strings.Contains(last.Error.Message, "revoked") {
				t.Errorf("events %+v", events)
			}
			c.closed(websocket.StatusPolicyViolation, "the API key is not good for this any more")
		})
	}
}
