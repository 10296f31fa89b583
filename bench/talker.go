package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// talker is a model that answers with times: each delta is the moment at which it is sent.
type talker struct {
	origin string
	server *http.Server
	client *http.Client // of those who read the model itself

	mu    sync.Mutex
	round *round
}

// round is a number of streams that are said at the same time.
type round struct {
	streams, deltas int
	// apart is how far the ends of streams are apart.
	apart          time.Duration
	arrived, ended chan struct{} // a signal for each stream
	speak          chan struct{} // closed when all of them shall speak
	over           atomic.Int64  // streams that have said everything

	mu   sync.Mutex
	said map[string]string // by the stream's name
}

func newRound(streams, deltas int, apart time.Duration) *round {
	return &round{
		streams: streams, deltas: deltas, apart: apart, said: make(map[string]string, streams), speak: make(chan struct{}),
		arrived: make(chan struct{}, streams), ended: make(chan struct{}, streams),
	}
}

func startTalker() (*talker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &talker{origin: "http://" + l.Addr().String(), client: &http.Client{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", t.model)
	t.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go t.server.Serve(l) //nolint:errcheck // it ends with close
	return t, nil
}

func (t *talker) close() { t.server.Close() }

// begin makes a round the one to which requests belong from now on.
func (t *talker) begin(r *round) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.round = r
}

// model answers a request whose last message is the name of a stream.
func (t *talker) model(w http.ResponseWriter, r *http.Request) {
	var in struct{ Messages []struct{ Content string } }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Messages) == 0 {
		http.Error(w, "unexpected request", http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	round := t.round
	t.mu.Unlock()
	name := in.Messages[len(in.Messages)-1].Content
	if !round.admit(name) {
		http.Error(w, "the same stream was asked for twice", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	const head = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":`
	send := func(delta, finish string) error {
		fmt.Fprintf(w, head+`[{"index":0,"delta":%s,"finish_reason":%s}]}`+"\n\n", delta, finish)
		return control.Flush()
	}
	if send(`{"role":"assistant","content":""}`, "null") != nil {
		return
	}
	err := round.say(r.Context(), name, func(text string) error { return send(`{"content":"`+text+`"}`, "null") })
	if err != nil {
		return
	}
	fmt.Fprintf(w, head+`[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n")
	fmt.Fprintf(w, head+`[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}`+"\n\ndata: [DONE]\n\n")
}

// admit reports whether a stream is asked for for the first time.
func (r *round) admit(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.said[name]; twice {
		return false
	}
	r.said[name] = ""
	return true
}

// say waits until all streams are there and says one of them. They begin at different moments of the first interval.
func (r *round) say(ctx context.Context, name string, send func(text string) error) error {
	r.arrived <- struct{}{}
	select {
	case <-r.speak:
	case <-ctx.Done():
		return ctx.Err()
	}
	var said strings.Builder
	next := time.NewTimer(rand.N(every))
	defer next.Stop()
	due := time.Now()
	for range r.deltas {
		select {
		case <-next.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		text := stamp()
		if err := send(text); err != nil {
			return err
		}
		said.WriteString(text)
		due = due.Add(every)
		next.Reset(time.Until(due))
	}
	r.mu.Lock()
	r.said[name] = said.String()
	r.mu.Unlock()
	r.ended <- struct{}{}
	select {
	case <-time.After(time.Duration(r.over.Add(1)) * r.apart):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check compares what was heard with what was said.
func (r *round) check(name string, h *heard) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch said := r.said[name]; {
	case len(h.delays) != r.deltas:
		return fmt.Errorf("%s: %d deltas were said and %d heard", name, r.deltas, len(h.delays))
	case string(h.text) != said:
		return errors.New(name + ": what was heard is not what was said")
	}
	return nil
}
