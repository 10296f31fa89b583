package starter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/events"
	"perdure/internal/events/eventstest"
	"perdure/internal/responses"
	"perdure/workflows"
)

// sseEvent is an event as a client gets it.
type sseEvent struct {
	Type     string
	Sequence int `json:"sequence_number"`
	Response *response
	Delta    string
}

// readEvents reads n events, or all that there are when n is negative. It wants the framing that every client understands.
func readEvents(t *testing.T, r io.Reader, n int) []sseEvent {
	t.Helper()
	var out []sseEvent
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n < 0 || len(out) < n {
		if !lines.Scan() {
			t.Fatalf("the stream ended after %d events: %v", len(out), lines.Err())
		}
		line := lines.Text()
		if line == "data: [DONE]" {
			return out
		}
		name, ok := strings.CutPrefix(line, "event: ")
		if !ok {
			continue // an empty line or a comment
		}
		lines.Scan()
		var e sseEvent
		if err := json.Unmarshal([]byte(strings.TrimPrefix(lines.Text(), "data: ")), &e); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		if e.Type != name {
			t.Fatalf("event %q holds %q", name, e.Type)
		}
		out = append(out, e)
	}
	return out
}

// open sends a request whose answer is a stream, and returns that. It may be used in a goroutine.
func open(ctx context.Context, t *testing.T, method, url, body string, header ...string) io.Reader {
	t.Helper()
	r := must(http.NewRequestWithContext(ctx, method, url, strings.NewReader(body)))
	r.Header.Set("Authorization", "Bearer "+apiKey)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return strings.NewReader("")
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HTTP %d, %s", resp.StatusCode, resp.Header)
	}
	return resp.Body
}

func types(list []sseEvent) string {
	var names []string
	for _, e := range list {
		names = append(names, strings.TrimPrefix(e.Type, "response."))
	}
	return strings.Join(names, " ")
}

// say publishes a message of the model as a worker would, piece by piece.
func say(t *testing.T, r *rig, id string, pieces ...string) {
	t.Helper()
	step := r.options.Events.Step(id, "turn-1-1")
	step.Publish(events.Event{Kind: events.TurnStarted, Turn: 1, Try: 1})
	at := 0
	for _, text := range pieces {
		step.Publish(events.Event{
			Kind: events.DeltaAdded, Turn: 1, Try: 1, ItemID: responses.ItemID(responses.TypeMessage, id, 0),
			Delta: &events.Delta{Part: events.PartText, At: at, Text: text},
		})
		step.Flush(t.Context()) // or the log may make one delta of two
		at += len(text)
	}
}

func TestStreamBeginsWithDiscoveryAndEndsWithTheRun(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting)
	answers := make(chan io.Reader, 1)
	go func() {
		answers <- open(t.Context(), t, http.MethodPost, r.url+"/v1/responses", `{"input":"hi","stream":true}`)
	}()
	id := r.started(t)
	select {
	case <-answers:
		t.Fatal("the answer began before the servers were listed")
	default:
	}
	say(t, r, id, "Good ", "morning")
	stream := <-answers
	first := readEvents(t, stream, 6)
	if got, want := types(first), "created in_progress output_item.added content_part.added output_text.delta output_text.delta"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
		t.Fatal(err)
	}
	rest := readEvents(t, stream, -1)
	last := rest[len(rest)-1]
	if last.Type != "response.completed" || last.Response.ID != id {
		t.Errorf("the last event is %+v", last)
	}
	// Another reader, later, sees the same.
	again := readEvents(t, open(t.Context(), t, http.MethodGet, r.url+"/v1/responses/"+id+"?stream=true&starting_after=5", ""), -1)
	if types(again) != types(rest) || again[0].Sequence != 6 {
		t.Errorf("a later reader sees %s from %d on, want %s", types(again), again[0].Sequence, types(rest))
	}
}

func TestStreamOfABackgroundRunBeginsAtOnce(t *testing.T) {
	t.Parallel()
	r := serve(t, nil) // without a worker
	stream := open(t.Context(), t, http.MethodPost, r.url+"/v1/agent", `{"input":"hi","stream":true,"background":true}`)
	first := readEvents(t, stream, 3)
	if got, want := types(first), "created queued in_progress"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := first[0].Response.Status; got != responses.ResponseQueued {
		t.Errorf("status %q, want queued", got)
	}
	// GET does not wait for a worker either.
	got, err := do(t.Context(), http.MethodGet, r.url+"/v1/responses/"+first[0].Response.ID, nil, "Authorization", "Bearer "+apiKey)
	if err != nil {
		t.Fatal(err)
	}
	if status := got.response(t).Status; status != responses.ResponseQueued {
		t.Errorf("GET says %q, want queued", status)
	}
}

// impatient returns the URL of another starter of the rig, which soon gives up an event log that is away.
func (r *rig) impatient(t *testing.T) string {
	t.Helper()
	s := newStarter(t.Context(), t.Context(), r.options)
	s.logPatience = 50 * time.Millisecond
	return handlers(t, s.routes()).URL
}

// TestStreamWithoutTheEventLog: of a log that is away for long, what a run came to is all that a stream can tell. A client that has
// seen events of the log is cut off: they had other numbers.
func TestStreamWithoutTheEventLog(t *testing.T) {
	t.Parallel()
	r := serve(t, func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		return outcome(in, responses.ResponseCompleted), nil
	})
	url := r.impatient(t)
	if err := r.options.Events.Close(); err != nil {
		t.Fatal(err)
	}
	list := readEvents(t, open(t.Context(), t, http.MethodPost, url+"/v1/responses", `{"input":"hi","stream":true}`), -1)
	if got, want := types(list), "created in_progress completed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	rest := open(t.Context(), t, http.MethodGet, url+"/v1/responses/"+list[0].Response.ID+"?stream=true&starting_after=1", "")
	if got, err := io.ReadAll(rest); err == nil || len(got) > 0 {
		t.Errorf("a client that goes on gets %q, %v, want to be cut off", got, err)
	}
}

// TestStreamIsHeldBackNoLongerThanDiscovery: what tells a stream that discovery is over is an event of the log. While that is away, the run
// is asked, so that its client has an answer, and signs of life, before some proxy cuts it off.
func TestStreamIsHeldBackNoLongerThanDiscovery(t *testing.T) {
	t.Parallel()
	nats := eventstest.StartServer(t)
	var asked atomic.Int32
	r := serve(t, func(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		out := workflows.Outcome{Status: responses.ResponseInProgress}
		err := workflow.SetQueryHandler(ctx, workflows.ProgressName, func() (workflows.Outcome, error) {
			asked.Add(1)
			return out, nil
		})
		if err != nil {
			return out, err
		}
		workflow.GetSignalChannel(ctx, "discovered").Receive(ctx, nil)
		out.Discovered = true
		return waiting(ctx, in)
	}, func(o *Options) { o.Events = eventstest.Connect(t, nats.URL()) })
	s := newStarter(t.Context(), t.Context(), r.options)
	s.streamPing, s.logPatience = 20*time.Millisecond, 50*time.Millisecond
	nats.Stop()
	eventually(t, "the log is away", func() bool { return r.options.Events.Away() > 0 })
	answers := make(chan io.Reader, 1)
	url := handlers(t, s.routes()).URL
	go func() {
		answers <- open(t.Context(), t, http.MethodPost, url+"/v1/responses", `{"input":"hi","stream":true}`)
	}()
	id := r.started(t)
	eventually(t, "the run is asked", func() bool { return asked.Load() > 2 })
	select {
	case <-answers:
		t.Fatal("the answer began before the servers were listed")
	default:
	}
	signal := func(name string) {
		t.Helper()
		if err := r.temporal.SignalWorkflow(t.Context(), id, "", name, nil); err != nil {
			t.Fatal(err)
		}
	}
	signal("discovered")
	lines := bufio.NewScanner(<-answers)
	read := func(until string) (seen string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == until {
				return seen
			}
			seen += lines.Text() + "\n"
		}
		t.Fatalf("the stream ended before %q: %v", until, lines.Err())
		return ""
	}
	if seen := read(": ping"); !strings.Contains(seen, "event: response.created\n") {
		t.Errorf("a sign of life comes after %q", seen)
	}
	signal("go")
	if seen := read("data: [DONE]"); !strings.Contains(seen, "event: response.completed\n") {
		t.Errorf("the stream ends with %q", seen)
	}
}

// TestStreamsWaitForTheEventLog: a log that is away when a run ends is waited for, so that every client sees the same events, be it
// that has seen all so far, or one that comes meanwhile and goes on after an event.
func TestStreamsWaitForTheEventLog(t *testing.T) {
	t.Parallel()
	nats := eventstest.StartServer(t)
	r := serve(t, waiting, func(o *Options) { o.Events = eventstest.Connect(t, nats.URL()) })
	answers := make(chan io.Reader, 1)
	go func() {
		answers <- open(t.Context(), t, http.MethodPost, r.url+"/v1/responses", `{"input":"hi","stream":true}`)
	}()
	id := r.started(t)
	say(t, r, id, "Good ", "morning")
	stream := <-answers
	seen := readEvents(t, stream, 6)
	nats.Stop()
	if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
		t.Fatal(err)
	}
	resumed := open(t.Context(), t, http.MethodGet, r.url+"/v1/responses/"+id+"?stream=true&starting_after=3", "")
	awaitLog(t, r.log, "the end of a run cannot be marked in the event log")
	if err := nats.Restart(); err != nil {
		t.Fatal(err)
	}
	seen = append(seen, readEvents(t, stream, -1)...)
	if diff := cmp.Diff(seen[4:], readEvents(t, resumed, -1)); diff != "" {
		t.Errorf("who went on meanwhile sees something else (-who stayed +who went on):\n%s", diff)
	}
	again := open(t.Context(), t, http.MethodGet, r.url+"/v1/responses/"+id+"?stream=true", "")
	if diff := cmp.Diff(seen, readEvents(t, again, -1)); diff != "" {
		t.Errorf("later the stream is another (-then +now):\n%s", diff)
	}
}

func TestClientThatLeavesAStream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		body   string
		header []string
		status enumspb.WorkflowExecutionStatus // that the run then has
	}{
		{"its run is cancelled", `{"input":"hi","stream":true}`, nil, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED},
		{"a run with a key goes on", `{"input":"hi","stream":true}`, []string{"Idempotency-Key", uuid.NewString()}, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED},
		{"a background run goes on", `{"input":"hi","stream":true,"background":true}`, nil, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, waiting)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			answers := make(chan io.Reader, 1)
			go func() { answers <- open(ctx, t, http.MethodPost, r.url+"/v1/responses", tt.body, tt.header...) }()
			id := r.started(t)
			say(t, r, id, "x")
			readEvents(t, <-answers, 3)
			leave()
			awaitLog(t, r.log, "the client left")
			if tt.status == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
				if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.status(t, id, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING); got != tt.status {
				t.Errorf("the run is %s, want %s", got, tt.status)
			}
		})
	}
}

// A client that does not read is cut off, and its neighbour is not touched.
func TestSlowClientIsCut(t *testing.T) {
	t.Parallel()
	o, log := newOptions(t)
	server := newStarter(t.Context(), t.Context(), o)
	server.slowClient = 2 * time.Second
	r := serve(t, waiting)
	server.Temporal, server.Events = r.temporal, r.options.Events
	server.TaskQueue = r.options.TaskQueue
	url := handlers(t, server.routes()).URL
	created, err := post(t.Context(), url+"/v1/responses", `{"input":"hi","background":true}`)
	if err != nil {
		t.Fatal(err)
	}
	id := created.response(t).ID

	neighbour := open(t.Context(), t, http.MethodGet, url+"/v1/responses/"+id+"?stream=true", "")
	slow := must(net.Dial("tcp", strings.TrimPrefix(url, "http://")))
	defer slow.Close()
	if err := slow.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(slow, "GET /v1/responses/%s?stream=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", id, apiKey)
	long := strings.Repeat("x", 60<<10)
	pieces := make([]string, 200)
	for i := range pieces {
		pieces[i] = long
	}
	// Meanwhile the neighbour reads, which has no more time than the other.
	var said sync.WaitGroup
	defer said.Wait()
	said.Go(func() { say(t, r, id, pieces...) })
	if got := len(readEvents(t, neighbour, 5+len(pieces))); got != 5+len(pieces) {
		t.Errorf("the neighbour got %d events", got)
	}
	awaitLog(t, log, "client too slow")
}

// The reason for which a stream cannot begin is an HTTP status.
func TestStreamThatCannotBegin(t *testing.T) {
	t.Parallel()
	r := serve(t, func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		out := outcome(in, responses.ResponseFailed)
		out.Error = &responses.RunError{Message: "no server"}
		return out, discoveryFailure(out)
	})
	got := r.create(t, `{"input":"hi","stream":true}`)
	if shown := got.failed(t); got.status != http.StatusFailedDependency || shown.Type != responses.ErrExternalConnector {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
	list := readEvents(t, open(t.Context(), t, http.MethodPost, r.url+"/v1/responses", `{"input":"hi","stream":true,"background":true}`), -1)
	if got, want := types(list), "created queued in_progress failed"; got != want {
		t.Errorf("a background run: got %s, want %s", got, want)
	}
}

func TestStreamOfAnOldResponse(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.EventAge = time.Nanosecond })
	id := r.create(t, `{"input":"hi","background":true}`).response(t).ID
	got, err := do(t.Context(), http.MethodGet, r.url+"/v1/responses/"+id+"?stream=true", nil, "Authorization", "Bearer "+apiKey)
	if err != nil {
		t.Fatal(err)
	}
	if shown := got.failed(t); got.status != http.StatusBadRequest || !strings.Contains(shown.Message, "poll it with GET") {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
}

// A starter that stops lets its streams go; they end in a way that no client takes for the end of the run.
func TestStreamOfAStarterThatStops(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.Grace = 50 * time.Millisecond })
	id := r.create(t, `{"input":"hi","background":true}`).response(t).ID
	stream := open(t.Context(), t, http.MethodGet, r.url+"/v1/responses/"+id+"?stream=true", "")
	readEvents(t, stream, 3)
	r.stop()
	if _, err := io.ReadAll(stream); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ended with %v, want %v", err, io.ErrUnexpectedEOF)
	}
	awaitLog(t, r.log, "this server is stopping")
	if got := r.status(t, id, enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED); got != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("the run is %s, want it to go on", got)
	}
}
