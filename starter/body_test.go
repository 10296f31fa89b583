package starter

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"perdure/internal/identity"
)

// upload is a request whose body comes in pieces.
type upload struct {
	*io.PipeWriter
	answered chan answer
}

// startUpload announces a body of any length.
func startUpload(t *testing.T, key, url string) *upload {
	t.Helper()
	r, w := io.Pipe()
	u := &upload{w, make(chan answer, 1)}
	go func() {
		a, err := do(t.Context(), http.MethodPost, url+"/v1/responses", r, "Authorization", "Bearer "+key)
		if err != nil {
			a.body = err.Error()
		}
		_ = r.Close()
		u.answered <- a
	}()
	t.Cleanup(func() { _ = w.Close() })
	return u
}

// sized is a request of so many bytes.
func sized(n int, rest string) string {
	const begin, end = `{"input":"hi","instructions":"`, `"`
	return begin + strings.Repeat("i", n-len(begin)-len(end)-len(rest)-1) + end + rest + "}"
}

// Bodies that are read are bounded in memory, for a key and for all together. What was only announced takes none.
func TestBodyMemory(t *testing.T) {
	t.Parallel()
	o, _ := newOptions(t)
	o.Limits.BodyMemory = 256 << 10
	s := newStarter(t.Context(), t.Context(), o)
	url := handlers(t, s.routes()).URL
	eve := identity.Principal{Organization: "other", Key: "eve"}.Account()
	// An answer may arrive before its request has given everything back.
	room := func(key string, n int64) {
		eventually(t, "there is room", func() bool {
			if s.gates.bodies.Take(key, n) != nil {
				return false
			}
			s.gates.bodies.Give(key, n)
			return true
		})
	}
	// A request that asked for more while a body is still being read could be what that body is refused for.
	read := func(key string, n int64) {
		eventually(t, "the body has been read", func() bool {
			if s.gates.bodies.Take(key, 128<<10-n+1) != nil {
				return true
			}
			s.gates.bodies.Give(key, 128<<10-n+1)
			return false
		})
	}
	idle := startUpload(t, otherKey, url)
	large := startUpload(t, apiKey, url)
	if _, err := large.Write(bytes.Repeat([]byte(" "), 100<<10)); err != nil {
		t.Fatal(err)
	}
	read(alice.Account(), 100<<10)
	refused(t, as(t, apiKey, http.MethodPost, url+"/v1/responses", strings.Repeat(" ", 64<<10)), http.StatusTooManyRequests, "too large together")
	if a := as(t, otherKey, http.MethodPost, url+"/v1/responses", strings.Repeat(" ", 64<<10)); a.status != http.StatusBadRequest {
		t.Errorf("another key: HTTP %d with %s", a.status, a.body)
	}
	room(eve, 128<<10)
	full := startUpload(t, otherKey, url)
	if _, err := full.Write(bytes.Repeat([]byte(" "), 100<<10)); err != nil {
		t.Fatal(err)
	}
	read(eve, 100<<10)
	if a := as(t, otherKey, http.MethodPost, url+"/v1/responses", strings.Repeat(" ", 64<<10)); a.status != http.StatusTooManyRequests {
		t.Errorf("the other key has more than its share: HTTP %d with %s", a.status, a.body)
	}
	for _, u := range []*upload{large, full, idle} {
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		if a := <-u.answered; a.status != http.StatusBadRequest {
			t.Errorf("HTTP %d with %s", a.status, a.body)
		}
	}
	for key, name := range map[string]string{apiKey: alice.Account(), otherKey: eve} {
		room(name, 128<<10)
		if a := as(t, key, http.MethodPost, url+"/v1/responses", strings.Repeat(" ", 128<<10)); a.status != http.StatusBadRequest {
			t.Errorf("what was taken is not there again: HTTP %d with %s", a.status, a.body)
		}
	}
}

// Of all keys together there may be no more than there is.
func TestBodyMemoryOfAll(t *testing.T) {
	t.Parallel()
	r := serve(t, nil, func(o *Options) { o.Limits.BodyMemory = 64 << 10 })
	s := &Starter{Intake: &Intake{Options: r.options}}
	s.gates = newGates(t.Context(), s.Intake)
	who := must2(s.Keys.Authenticate(otherKey))
	if err := s.gates.bodies.Take("one", 32<<10); err != nil {
		t.Fatal(err)
	}
	if err := s.gates.bodies.Take("two", 30<<10); err != nil {
		t.Fatal(err)
	}
	m := s.metered(strings.NewReader(strings.Repeat("x", 3<<10)), who)
	_, err := io.ReadAll(m)
	if shown := wireError(err); shown == nil || shown.Status != http.StatusServiceUnavailable {
		t.Errorf("error %v", err)
	}
	m.done()
	m.done()
	s.gates.bodies.Give("one", 32<<10)
	m = s.metered(strings.NewReader(strings.Repeat("x", 30<<10)), who)
	if n, err := io.Copy(io.Discard, m); err != nil || n != 30<<10 {
		t.Errorf("%d bytes, error %v", n, err)
	}
	m.keep(40 << 10) // is no way to get more
	if m.taken != 30<<10 {
		t.Errorf("%d bytes are taken", m.taken)
	}
	m.keep(10)
	if m.taken != 10 {
		t.Errorf("%d bytes are taken", m.taken)
	}
}

// What a response repeats of its request stays in memory while somebody waits for it, and counts as long.
func TestMemoryOfThoseWhoWait(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.BodyMemory = 64 << 10 })
	for i, rest := range []string{"", `,"stream":true,"background":true`} {
		later := make(chan answer, 1)
		go func() {
			a, err := post(t.Context(), r.url+"/v1/responses", sized(20<<10, rest))
			if err != nil {
				a.body = err.Error()
			}
			later <- a
		}()
		awaitCount(t, r.log, "run started", 2*i+1)
		id := r.last()
		refused(t, r.create(t, sized(20<<10, rest)), http.StatusTooManyRequests, "too large together")
		if a := r.create(t, sized(8<<10, `,"background":true`)); a.status != http.StatusOK {
			t.Errorf("HTTP %d with %s", a.status, a.body)
		}
		if err := r.temporal.SignalWorkflow(t.Context(), id, "", "go", nil); err != nil {
			t.Fatal(err)
		}
		if a := <-later; a.status != http.StatusOK {
			t.Errorf("HTTP %d with %s", a.status, a.body)
		}
	}
}

// The requests that wait on WebSockets count as well. A socket whose message has no room is closed.
func TestBodyMemoryOfSockets(t *testing.T) {
	t.Parallel()
	r := serve(t, waiting, func(o *Options) { o.Limits.BodyMemory = 64 << 10 })
	first, second := dialSocket(t, r.url+"/v1/responses"), dialSocket(t, r.url+"/v1/responses")
	first.send(`{"type":"response.create","input":"hi"}`)
	r.started(t)
	message := `{"type":"response.create",` + sized(20<<10, "")[1:]
	first.send(message) // waits for the one before
	events := make(chan []wsEvent)
	go func() {
		for range 2 {
			events <- first.rest()
		}
	}()
	// A pong comes when all that was sent before has been read. To ask by another request would take the memory that the message needs.
	if err := first.conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := as(t, apiKey, http.MethodPost, r.url+"/v1/responses", strings.Repeat(" ", 20<<10)); a.status != http.StatusTooManyRequests {
		t.Errorf("HTTP %d while the message waits", a.status)
	}
	second.send(message)
	second.closed(websocket.StatusTryAgainLater, "too large together")
	for n := 1; n <= 2; n++ {
		awaitCount(t, r.log, "run started", n)
		if err := r.temporal.SignalWorkflow(t.Context(), r.last(), "", "go", nil); err != nil {
			t.Fatal(err)
		}
		select {
		case events := <-events:
			if events[len(events)-1].Type != "response.completed" {
				t.Errorf("events %+v", events)
			}
		case <-time.After(patience):
			t.Fatalf("turn %d has not ended", n)
		}
	}
	eventually(t, "what was taken is there again", func() bool {
		return as(t, apiKey, http.MethodPost, r.url+"/v1/responses", strings.Repeat(" ", 32<<10)).status == http.StatusBadRequest
	})
}

// last is the ID of the run that was started last.
func (r *rig) last() string {
	all := r.log.String()
	_, after, _ := strings.Cut(all[strings.LastIndex(all, "run started"):], "response=")
	id, _, _ := strings.Cut(after, " ")
	return id
}
