package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"perdure/internal/events/eventstest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// newStream runs a request with stream to its end, which must be whole.
func newStream(t *testing.T, s *stack, body []byte, text string) {
	t.Helper()
	begin := time.Now()
	frames := postStream(t, s.url, body).whole(t)
	events := checkWhole(t, frames)
	if got := joined(events, "response.output_text.delta"); got != text {
		t.Errorf("the deltas say %q, want %q", got, text)
	}
	t.Logf("%d events in %v", len(frames), time.Since(begin).Round(time.Millisecond))
}

// TestEventLogStops: without the event log, runs complete, and who waits for or asks after one notices nothing. A stream ends with all
// that was said, or is cut off so that its client knows. When the log is back, so are streams.
func TestEventLogStops(t *testing.T) {
	t.Parallel()
	log := eventstest.StartServer(t)
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: suite.models.url(), Events: log.URL()})
	text := manyPieces("word", 20)
	release := make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Last().Content == "hold" {
			return modeltest.Text(text).HoldAfter(11, release)
		}
		return liveModel(r, text)
	})
	body := ask(t, model, `"input": "hold", "stream": true`)
	stream := postStream(t, s.url, body)
	seen := stream.until(t, text[:10*pieceSize])
	waiting := s.sendLater(t, s.url, apiKey, string(askAgain(t, `"input": "hold"`)))
	polled := s.create(t, askAgain(t, `"input": "hold", "background": true`))
	if _, err := model.WaitRequest(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	log.Stop()
	close(release)
	since := time.Now()
	if r := (<-waiting).must(t).decode(t); r.Status != "completed" || r.text() != text {
		t.Errorf("the client that waits got status %s, text %q", r.Status, r.text())
	}
	if r := s.awaitStatus(t, polled.ID, "completed"); r.text() != text {
		t.Errorf("the client that polls got the text %q", r.text())
	}
	t.Logf("without the log, runs ended within %v", time.Since(since).Round(time.Millisecond))
	rest, err := stream.rest()
	t.Logf("without the log, the stream ended after %v: %v", time.Since(since).Round(time.Millisecond), err)
	if err == nil {
		events := checkWhole(t, append(seen, rest...))
		if got := joined(events, "response.output_text.delta"); got != text {
			t.Errorf("the stream that was under way says %q", got)
		}
	} else if !errors.Is(err, errCutOff) {
		t.Error(err)
	}
	// A run that begins without the log.
	newStream(t, s, askAgain(t, `"input": "x", "stream": true`), text)
	if r := s.create(t, askAgain(t, `"input": "x"`)); r.Status != "completed" || r.text() != text {
		t.Errorf("got status %s, text %q", r.Status, r.text())
	}
	if err := log.Restart(); err != nil {
		t.Fatal(err)
	}
	s.awaitLive(t, askAgain(t, `"input": "live", "stream": true, "background": true`), text[:10*pieceSize])
	for _, id := range []string{responseOf(t, seen).ID, polled.ID} {
		events := checkWhole(t, replay(t, s.url, id))
		if got := joined(events, "response.output_text.delta"); got != text {
			t.Errorf("read again, the stream says %q", got)
		}
	}
}

// liveModel writes a text, of which it holds half back when it is asked for something live.
func liveModel(r modeltest.Request, text string) modeltest.Reply {
	reply := modeltest.Text(text)
	if r.Last().Content == "live" {
		reply = reply.HoldAfter(11, nil) // a nil channel never opens
	}
	return reply
}

// liveWithin is how long a stream may take to show what its model has written.
const liveWithin = 5 * time.Second

// awaitLive starts runs, whose models hold after a text, until the client of one sees that text: it has come through the log.
func (s *stack) awaitLive(t *testing.T, body []byte, text string) {
	t.Helper()
	deadline := time.After(startTimeout)
	for !s.isLive(t, body, text) {
		select {
		case <-deadline:
			t.Fatalf("%v after the log is back, streams do not show what models write", startTimeout)
		case <-time.After(pollEvery):
		}
	}
}

func (s *stack) isLive(t *testing.T, body []byte, text string) bool {
	t.Helper()
	stream := postStream(t, s.url, body)
	defer stream.cut()
	begun, err := stream.take(1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.send(t, http.MethodPost, "/responses/"+responseOf(t, begun).ID+"/cancel", "")
	timer := time.AfterFunc(liveWithin, stream.cut)
	defer timer.Stop()
	for got := ""; got != text; {
		f, err := stream.next()
		if err != nil {
			return false
		}
		got += textDelta(t, f)
	}
	return true
}

// TestEventLogAwayAtStart: starter and worker start without the event log, and use it when it comes.
func TestEventLogAwayAtStart(t *testing.T) {
	t.Parallel()
	log := eventstest.StartServer(t)
	log.Stop()
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: suite.models.url(), Events: log.URL()})
	text := manyPieces("word", 20)
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply { return liveModel(r, text) })
	if r := s.create(t, ask(t, model, `"input": "x"`)); r.Status != "completed" || r.text() != text {
		t.Errorf("got status %s, text %q", r.Status, r.text())
	}
	newStream(t, s, askAgain(t, `"input": "x", "stream": true`), text)
	if a := s.send(t, http.MethodGet, "/responses?limit=1", ""); a.status != http.StatusOK {
		t.Errorf("got status %d: %s", a.status, a.body)
	}
	if err := log.Restart(); err != nil {
		t.Fatal(err)
	}
	s.awaitLive(t, askAgain(t, `"input": "live", "stream": true, "background": true`), text[:10*pieceSize])
}
