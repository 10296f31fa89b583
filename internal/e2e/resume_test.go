package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// pieceSize is the number of characters of one delta of the model.
const pieceSize = 12

// manyPieces is a text of so many deltas, each of which differs from the others.
func manyPieces(word string, deltas int) string {
	var b strings.Builder
	for i := range deltas {
		b.WriteString((fmt.Sprintf("%s %03d", word, i) + strings.Repeat(".", pieceSize))[:pieceSize])
	}
	return b.String()
}

// twoStarters is a stack of its own with a second starter.
func twoStarters(t *testing.T) (s *stack, second string) {
	t.Helper()
	s = ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: suite.models.url()})
	first, url := s.starter, s.url
	if err := s.startStarter(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, s.starter, s.url = s.url, first, url
	return s, second
}

// twoCalls is a turn with two calls at the same time.
func twoCalls() modeltest.Reply {
	return modeltest.Calls(
		modeltest.Call{Name: "s__add", Arguments: `{"a":2,"b":40}`}, modeltest.Call{Name: "s__echo", Arguments: `{"text":"echo"}`})
}

// watcher reads a run's events without a break. After each of them it has a client cut off at just that event, which goes on at every
// starter.
type watcher struct {
	stream   *sse
	id       string
	starters []string
	seen     []frame
	text     string // of the latest item

	clients []*cutClient
}

// cutClient is cut off after an event and resumes.
type cutClient struct {
	after   int
	before  []frame
	resumed chan struct{} // closed when it has resumed at all starters
	rests   [][]frame
	err     error
	done    chan struct{}
}

// watch follows a background run that is started here.
func watch(t *testing.T, starters []string, body []byte) *watcher {
	t.Helper()
	w := &watcher{stream: postStream(t, starters[0], body), starters: starters}
	w.step(t)
	return w
}

// step reads one event.
func (w *watcher) step(t *testing.T) {
	t.Helper()
	f, err := w.stream.next()
	if err != nil {
		t.Fatalf("after %d events: %v", len(w.seen), err)
	}
	var e event
	if err := json.Unmarshal([]byte(f.data), &e); err != nil {
		t.Fatal(err)
	}
	switch e.Type {
	case "response.created":
		w.id = e.Response.ID
	case "response.output_item.added":
		w.text = ""
	case "response.output_text.delta":
		w.text += e.Delta
	}
	w.seen = append(w.seen, f)
	c := &cutClient{after: len(w.seen) - 1, resumed: make(chan struct{}), done: make(chan struct{})}
	w.clients = append(w.clients, c)
	go c.run(t.Context(), w.starters, w.id)
}

// until reads until the latest item says the text, and until all clients that were cut off so far have resumed: while the model holds,
// they do so in the middle of the run.
func (w *watcher) until(t *testing.T, text string) {
	t.Helper()
	for w.text != text {
		if !strings.HasPrefix(text, w.text) && strings.HasPrefix(w.text, text) {
			t.Fatalf("the text is %q already", w.text)
		}
		w.step(t)
	}
	for _, c := range w.clients {
		select {
		case <-c.resumed:
		case <-c.done:
		case <-time.After(startTimeout):
			t.Fatalf("the client that was cut off after event %d has not resumed", c.after)
		}
		if c.err != nil {
			t.Fatalf("cut off after event %d: %v", c.after, c.err)
		}
	}
}

// finish reads to the end and checks that all clients saw the same. It returns the events.
func (w *watcher) finish(t *testing.T) []event {
	t.Helper()
	for {
		last := w.seen[len(w.seen)-1].name
		if slices.Contains([]string{"response.completed", "response.failed", "response.incomplete"}, last) {
			break
		}
		w.step(t)
	}
	if more := w.stream.whole(t); len(more) > 0 {
		t.Errorf("after the last event there are %v", more)
	}
	events := checkWhole(t, w.seen)
	w.checkClients(t)
	// The run is over, and its events are there as they were.
	for i := range w.seen {
		c := &cutClient{after: i, resumed: make(chan struct{}), done: make(chan struct{})}
		w.clients = append(w.clients, c)
		c.run(t.Context(), w.starters, w.id)
	}
	w.checkClients(t)
	return events
}

func (w *watcher) checkClients(t *testing.T) {
	t.Helper()
	for _, c := range w.clients {
		select {
		case <-c.done:
		case <-time.After(startTimeout):
			t.Fatalf("the client that was cut off after event %d has not come to the end", c.after)
		}
		if c.err != nil {
			t.Fatalf("cut off after event %d: %v", c.after, c.err)
		}
		if diff := difference(w.seen[:c.after+1], c.before); diff != "" {
			t.Fatalf("before the cut after event %d: %s", c.after, diff)
		}
		for i, rest := range c.rests {
			if diff := difference(w.seen[c.after+1:], rest); diff != "" {
				t.Fatalf("resumed after event %d at starter %d: %s", c.after, i, diff)
			}
		}
	}
	w.clients = nil
}

// run reads up to the event, at one starter, and the rest at all.
func (c *cutClient) run(ctx context.Context, starters []string, id string) {
	defer close(c.done)
	first, err := resume(ctx, starters[c.after%len(starters)], id, -1)
	if err != nil {
		c.err = err
		return
	}
	c.before, c.err = first.take(c.after + 1)
	first.cut()
	if c.err != nil {
		return
	}
	streams := make([]*sse, len(starters))
	for i, starter := range starters {
		if streams[i], err = resume(ctx, starter, id, c.after); err != nil {
			c.err = err
			return
		}
	}
	close(c.resumed)
	c.rests = make([][]frame, len(starters))
	var all sync.WaitGroup
	errs := make([]error, len(starters))
	for i, stream := range streams {
		all.Go(func() { c.rests[i], errs[i] = stream.rest() })
	}
	all.Wait()
	c.err = errors.Join(errs...)
}

// TestResumeAtEveryEvent: wherever a client is cut off, and at whichever starter it goes on, it sees what it would have seen.
func TestResumeAtEveryEvent(t *testing.T) {
	t.Parallel()
	s, second := twoStarters(t)
	_, tool := startTools(t)
	text := manyPieces("word", 40)
	// The model's first chunk has no text.
	reply := modeltest.Text(text)
	gates := map[int]chan struct{}{}
	for n := 5; n <= 40; n += 5 {
		gates[n] = make(chan struct{})
		reply = reply.HoldAfter(n, gates[n])
	}
	body := ask(t, modeltest.New(twoCalls(), reply), `"input": "x", "background": true, "stream": true, "tools": [%s]`, tool)
	w := watch(t, []string{s.url, second}, body)
	for _, n := range slices.Sorted(maps.Keys(gates)) {
		w.until(t, text[:(n-1)*pieceSize])
		close(gates[n])
	}
	events := w.finish(t)
	if got := events[len(events)-1].Response; got.Status != "completed" || got.text() != text {
		t.Errorf("got status %s, text %q", got.Status, got.text())
	}
	if len(events) < 34 {
		t.Errorf("the stream has %d events, too few for a long one: %v", len(events), kinds(events))
	}
	checkReplay(t, s, w.id)
}

// TestResumeAfterWorkerKilled: the worker dies while the model writes. What it wrote is given up, the next attempt takes its place,
// and all clients see the same.
func TestResumeAfterWorkerKilled(t *testing.T) {
	t.Parallel()
	s, second := twoStarters(t)
	_, tool := startTools(t)
	lost, text := manyPieces("lost", 40), manyPieces("kept", 40)
	never, release := make(chan struct{}), make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		switch r.N {
		case 0:
			return twoCalls()
		case 1:
			return modeltest.Text(lost).HoldAfter(21, never)
		default:
			return modeltest.Text(text).HoldAfter(11, release)
		}
	})
	body := ask(t, model, `"input": "x", "background": true, "stream": true, "tools": [%s]`, tool)
	w := watch(t, []string{s.url, second}, body)
	throughout, err := resume(t.Context(), second, w.id, -1)
	if err != nil {
		t.Fatal(err)
	}
	w.until(t, lost[:20*pieceSize])
	s.worker.kill()
	if err := s.startWorker(); err != nil {
		t.Fatal(err)
	}
	w.until(t, text[:10*pieceSize])
	close(release)
	events := w.finish(t)
	if diff := difference(w.seen, throughout.whole(t)); diff != "" {
		t.Errorf("connected throughout at the other starter: %s", diff)
	}
	checkAbandoned(t, events, lost[:20*pieceSize], text)
	checkReplay(t, s, w.id)
}

// checkAbandoned checks that a message was closed as incomplete, and another one took its place.
func checkAbandoned(t *testing.T, events []event, lost, text string) {
	t.Helper()
	type ended struct {
		index int
		item  wireItem
	}
	var messages []ended
	for _, e := range events {
		if e.Type != "response.output_item.done" || e.Item.Type != "message" {
			continue
		}
		var whole struct{ Item wireItem }
		if err := json.Unmarshal(e.raw, &whole); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, ended{*e.OutputIndex, whole.Item})
	}
	if len(messages) != 2 {
		t.Fatalf("got the messages %+v, want two", messages)
	}
	first, second := messages[0], messages[1]
	if first.item.Status != "incomplete" || first.item.Content[0].Text != lost {
		t.Errorf("the message that was given up is %+v", first.item)
	}
	if second.item.Status != "completed" || second.item.Content[0].Text != text {
		t.Errorf("the message that took its place is %+v", second.item)
	}
	if first.index != second.index || first.item.ID == second.item.ID {
		t.Errorf("the messages have the indexes %d, %d, want the same, and the IDs %s, %s, want others",
			first.index, second.index, first.item.ID, second.item.ID)
	}
	_, last := final(t, events)
	if strings.Contains(string(last), lost) || !strings.Contains(string(last), second.item.ID) {
		t.Errorf("the final response has what was given up, or not what took its place: %s", last)
	}
}

// TestStarterKilledWhileStreaming: clients see that the stream was cut off, and go on at another starter.
func TestStarterKilledWhileStreaming(t *testing.T) {
	t.Parallel()
	s, second := twoStarters(t)
	text := manyPieces("word", 20)
	release := make(chan struct{})
	body := ask(t, modeltest.New(modeltest.Text(text).HoldAfter(11, release)), `"input": "x", "background": true, "stream": true`)
	client := postStream(t, s.url, body)
	seen := client.until(t, text[:10*pieceSize])
	id := responseOf(t, seen).ID
	s.starter.kill()
	if more, err := client.rest(); !errors.Is(err, errCutOff) || len(more) > 0 {
		t.Fatalf("got %v and the error %v, want that the stream is cut off", more, err)
	}
	rest, err := resume(t.Context(), second, id, len(seen)-1)
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	seen = append(seen, rest.whole(t)...)
	events := checkWhole(t, seen)
	if got := joined(events, "response.output_text.delta"); got != text {
		t.Errorf("the deltas say %q", got)
	}
	if diff := difference(seen, replay(t, second, id)); diff != "" {
		t.Error(diff)
	}
}

// headersWithin is how soon a stream must begin that has nothing to say yet: well before the comment that keeps it alive.
const headersWithin = 10 * time.Second

// TestResumeBeforeTheNextEvent: a client that has seen everything is answered at once, not when there is more.
func TestResumeBeforeTheNextEvent(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	release := make(chan struct{})
	body := ask(t, modeltest.New(modeltest.Text(inPieces).HoldAfter(4, release)), `"input": "x", "background": true, "stream": true`)
	client := postStream(t, s.url, body)
	seen := client.until(t, inPieces[:3*pieceSize])
	since := time.Now()
	rest, err := resume(t.Context(), s.url, responseOf(t, seen).ID, len(seen)-1)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(since); took > headersWithin {
		t.Errorf("the stream began after %v, want %v at most", took, headersWithin)
	}
	close(release)
	if diff := difference(client.whole(t), rest.whole(t)); diff != "" {
		t.Error(diff)
	}
}

// responseOf is the response as the first event has it.
func responseOf(t *testing.T, frames []frame) response {
	t.Helper()
	var e event
	if err := json.Unmarshal([]byte(frames[0].data), &e); err != nil || e.Response == nil {
		t.Fatalf("%v in %s", err, frames[0].data)
	}
	return *e.Response
}
