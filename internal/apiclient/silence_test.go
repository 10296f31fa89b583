package apiclient_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"perdure/internal/apiclient"
	"perdure/internal/linktest"
	"perdure/internal/secret"
)

// silence is how long the servers of these tests may say nothing, where what they say is asked for as often as it takes.
const silence = 300 * time.Millisecond

// linked is a client of a double, over a link that can swallow what passes, and is mended before anything is sent again.
type linked struct {
	*linktest.Link
	client *apiclient.Client
	pauses []error
}

func newLinked(t *testing.T, silence time.Duration, double http.HandlerFunc) *linked {
	t.Helper()
	server := httptest.NewServer(double)
	t.Cleanup(server.Close)
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	l := &linked{}
	if l.Link, err = linktest.New(to.Host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	l.client, err = apiclient.New(apiclient.Options{
		URL: "http://" + l.Address(), Patience: 10 * time.Second, Silence: silence,
		Waiting: func(reason error, _ time.Duration) {
			l.pauses = append(l.pauses, reason)
			if err := l.Restore(); err != nil {
				t.Error(err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.client.Close)
	return l
}

// TestLostWithoutASign: a connection over which nothing comes any more is given up, and what may be repeated is.
func TestLostWithoutASign(t *testing.T) {
	t.Parallel()
	const silence = 2 * time.Second // in which each answer must come that does
	l := newLinked(t, silence, ok)
	get := apiclient.Request{Method: "GET", Path: "/v1/x"}
	if _, err := l.client.Do(t.Context(), get); err != nil {
		t.Fatal(err)
	}
	l.Hang()
	if _, err := l.client.Do(t.Context(), get); err != nil {
		t.Fatal(err)
	}
	if len(l.pauses) != 1 || !strings.Contains(l.pauses[0].Error(), "lost the connection to http://"+l.Address()+": it said nothing for 2s") {
		t.Errorf("pauses: %v", l.pauses)
	}
	// What may not be repeated has longer, and then ends with an error.
	l.Hang()
	began := time.Now()
	_, err := l.client.Do(t.Context(), apiclient.Request{Method: "POST", Path: "/v1/x"})
	if err == nil || !strings.Contains(err.Error(), "it said nothing for 10s") || len(l.pauses) != 1 || time.Since(began) < 5*silence {
		t.Errorf("error %v after %v, pauses %v", err, time.Since(began), l.pauses)
	}
}

// TestLostInTheMiddle: an answer, a download and a stream go on that stand still in the middle.
func TestLostInTheMiddle(t *testing.T) {
	t.Parallel()
	const text = "the first half, and the second half"
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		s := stalling(t, "application/json", `{"id":"x"}`)
		if body, err := s.Do(t.Context(), apiclient.Request{Method: "GET", Path: "/v1/x"}); err != nil || string(body) != `{"id":"x"}` {
			t.Errorf("%s, %v", body, err)
		}
	})
	t.Run("download", func(t *testing.T) {
		t.Parallel()
		s := stalling(t, "application/jsonl", text)
		var b strings.Builder
		if err := s.Download(t.Context(), &b, "file-1"); err != nil || b.String() != text {
			t.Errorf("%q, %v", &b, err)
		}
	})
	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		s := stalling(t, "text/event-stream", "data: {\"type\":\"response.created\",\"sequence_number\":0}\n\ndata: [DONE]\n\n")
		stream := s.Follow("resp_1", -1)
		defer stream.Close()
		if e, err := stream.Next(t.Context()); err != nil || e.Sequence != 0 {
			t.Errorf("%+v, %v", e, err)
		}
		if _, err := stream.Next(t.Context()); err != io.EOF { //nolint:errorlint // it is the value itself
			t.Errorf("error %v", err)
		}
	})
}

// stalling is a client of a double that stands still in the middle of its answer, and says all that is asked for when it is asked again.
func stalling(t *testing.T, kind, text string) *apiclient.Client {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		if asked.Add(1) == 1 {
			fmt.Fprint(w, text[:len(text)/2])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(server.Close)
	c, err := apiclient.New(apiclient.Options{URL: server.URL, Patience: 10 * time.Second, Silence: silence})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestPatience: what takes long for a reason is waited for: the beginning of a run, and an upload of which some leaves again and again.
func TestPatience(t *testing.T) {
	t.Parallel()
	t.Run("a run", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int32
		l := newLinked(t, silence, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			events(w, 0, 1, true)
		})
		l.Delay(4 * silence)
		stream := l.client.Create(json.RawMessage(`{"input":"x"}`), "the-key")
		defer stream.Close()
		if _, err := stream.Next(t.Context()); err != nil || len(l.pauses) > 0 || asked.Load() != 1 {
			t.Errorf("error %v, pauses %v, asked %d times", err, l.pauses, asked.Load())
		}
	})
	t.Run("a slow upload", func(t *testing.T) {
		t.Parallel()
		l := newLinked(t, silence, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
			fmt.Fprint(w, `{"id":"file-1"}`)
		})
		pieces := &slowly{pieces: 8}
		f, err := l.client.UploadFile(t.Context(), apiclient.Upload{
			Filename: "f", Purpose: "batch", Size: 8, Open: func() (io.ReadCloser, error) { return pieces, nil },
		})
		if err != nil || f.ID != "file-1" || len(l.pauses) > 0 {
			t.Errorf("%+v, %v, pauses %v", f, err, l.pauses)
		}
	})
}

// slowly is a content that comes byte by byte, each within the time, and all together not.
type slowly struct{ pieces int }

func (s *slowly) Read(p []byte) (int, error) {
	if s.pieces == 0 {
		return 0, io.EOF
	}
	s.pieces--
	<-time.After(silence)
	p[0] = 'x'
	return 1, nil
}

func (s *slowly) Close() error { return nil }

// TestMayRun: whether a run may have begun is known from what came of the attempts.
func TestMayRun(t *testing.T) {
	t.Parallel()
	rate := answer(429, refusal("request_rate_limit_exceeded", "slow"), "Retry-After-Ms", "1")
	for name, tt := range map[string]struct {
		script []http.HandlerFunc
		want   bool
	}{
		"busy":       {[]http.HandlerFunc{busy, rate, busy}, false},
		"perhaps":    {[]http.HandlerFunc{busy, late}, true},
		"cut off":    {[]http.HandlerFunc{broken, busy}, true},
		"sent again": {[]http.HandlerFunc{busy, broken, busy}, true}, // by net/http, over another connection
		"of a proxy": {[]http.HandlerFunc{answer(502, "x")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, append(tt.script, answer(400, refusal("invalid_request", "no")))...)
			var stream *apiclient.Stream
			var may bool
			c, err := apiclient.New(apiclient.Options{
				URL: s.URL, Key: secret.New(key), Waiting: func(error, time.Duration) { may = stream.MayRun() },
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			stream = c.Create(json.RawMessage(`{}`), "k")
			defer stream.Close()
			if stream.MayRun() {
				t.Error("before it is asked for it may run")
			}
			if _, err := stream.Next(t.Context()); !apiclient.IsStatus(err, 400) {
				t.Fatal(err)
			}
			if may != tt.want {
				t.Errorf("whether it may run was %v at last, want %v", may, tt.want)
			}
		})
	}
}
