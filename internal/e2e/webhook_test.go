package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

const (
	// webhookWithin bounds how long an event may take that is sent again once, after 5 seconds.
	webhookWithin = 30 * time.Second
	// signedWithin bounds how far a signature's time may be off.
	signedWithin = 5 * time.Minute
)

// delivery is an event as its receiver gets it.
type delivery struct {
	header http.Header
	body   []byte
	at     time.Time
}

// check verifies an event as a receiver does, and returns its type and the ID of its response.
func (d delivery) check(t *testing.T, key []byte) (kind, response string) {
	t.Helper()
	id, timestamp := d.header.Get("webhook-id"), d.header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + string(d.body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); d.header.Get("webhook-signature") != want {
		t.Errorf("the signature is %s, want %s", d.header.Get("webhook-signature"), want)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if off := d.at.Sub(time.Unix(seconds, 0)); err != nil || off.Abs() > signedWithin {
		t.Errorf("the time %q is off by %v", timestamp, off)
	}
	var e struct {
		ID, Object, Type string
		CreatedAt        int64 `json:"created_at"`
		Data             struct{ ID string }
	}
	if err := json.Unmarshal(d.body, &e); err != nil || e.Object != "event" || e.ID != id || e.CreatedAt == 0 {
		t.Errorf("%v in the event %s", err, d.body)
	}
	return e.Type, e.Data.ID
}

// TestWebhook: an endpoint hears how a background run has ended, even if it fails at first, and then the response says the same.
func TestWebhook(t *testing.T) {
	t.Parallel()
	deliveries := make(chan delivery, 16)
	var failures atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		deliveries <- delivery{r.Header, body, time.Now()}
		if failures.Add(-1) >= 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(receiver.Close)
	key := []byte("a key of thirty-two random bytes")
	s := ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: suite.models.url(),
		Settings: fmt.Sprintf("webhooks:\n  - name: hook\n    url: %s/hook\n    secret: whsec_%s\n", receiver.URL, base64.StdEncoding.EncodeToString(key)),
	})
	next := func() delivery {
		select {
		case d := <-deliveries:
			return d
		case <-time.After(webhookWithin):
			t.Fatalf("no event within %v", webhookWithin)
			return delivery{}
		}
	}
	never := make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		switch r.Last().Content {
		case "fail":
			return modeltest.Status(401, nil, `{"error":{"message":"Incorrect API key provided"}}`)
		case "cut":
			return modeltest.Text("too long").WithFinish("length")
		case "hold":
			return modeltest.Text(inPieces).HoldAfter(2, never)
		default:
			return modeltest.Text("done")
		}
	})
	s.create(t, ask(t, model, `"input": "nobody waits for this one"`)) // no webhook: it is not in the background
	for input, status := range map[string]string{"x": "completed", "fail": "failed", "cut": "incomplete", "hold": "cancelled"} {
		id := s.create(t, askAgain(t, `"input": "%s", "background": true`, input)).ID
		if status == "cancelled" {
			s.awaitStatus(t, id, "in_progress")
			s.send(t, http.MethodPost, "/responses/"+id+"/cancel", "")
		}
		kind, response := next().check(t, key)
		if kind != "response."+status || response != id {
			t.Errorf("got %s of %s, want response.%s of %s", kind, response, status, id)
		}
		if got := s.get(t, id); got.Status != status {
			t.Errorf("after the event, the response is %s, want %s", got.Status, status)
		}
	}
	failures.Store(1)
	id := s.create(t, askAgain(t, `"input": "x", "background": true`)).ID
	first, second := next(), next()
	for _, d := range []delivery{first, second} {
		if kind, response := d.check(t, key); kind != "response.completed" || response != id {
			t.Errorf("got %s of %s", kind, response)
		}
	}
	if first.header.Get("webhook-id") != second.header.Get("webhook-id") || string(first.body) != string(second.body) {
		t.Errorf("sent again, the event is another: %s, %s", first.body, second.body)
	}
	if len(deliveries) > 0 {
		t.Errorf("there are %d more events", len(deliveries))
	}
}
