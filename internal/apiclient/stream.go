package apiclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Event is one event of a response's stream.
type Event struct {
	Type     string `json:"type"`
	Sequence int    `json:"sequence_number"`
	// Data is the event itself, on one line.
	Data json.RawMessage `json:"-"`
}

// Stream is the events of a response, in order and each once, whatever happens to connections and servers meanwhile.
type Stream struct {
	c *Client
	// begin is the request that starts the run; it is sent again until an event names the response.
	begin  Request
	mayRun bool   // an attempt of it may have started the run
	id     string // of the response; empty until it is known
	after  int    // the number of the last event, -1 before the first

	body  io.ReadCloser
	lines *bufio.Reader
	wait  *pauses
}

// Create starts a run and returns its events. The body must ask for a stream, and the key makes it one run however often it is sent.
func (c *Client) Create(body any, key string) *Stream {
	s := &Stream{c: c, after: -1, wait: newPause(c.options.Patience)}
	s.begin = Request{
		Method: http.MethodPost, Path: "/v1/responses", Body: body, Key: key,
		// The answer begins when the run has a worker and the tools of its MCP servers, however long that takes.
		unhurried: true,
		tried:     func(err error) { s.mayRun = s.mayRun || mayHaveActed(err) },
	}
	return s
}

// Follow returns the events of a response after one of them, -1 for all.
func (c *Client) Follow(id string, after int) *Stream {
	return &Stream{c: c, id: id, after: after, wait: newPause(c.options.Patience)}
}

// ID is the response's, empty as long as it is not known.
func (s *Stream) ID() string { return s.id }

// MayRun reports whether there may be a run: its ID is known, or a request that could have started it was not refused beforehand.
func (s *Stream) MayRun() bool { return s.mayRun || s.id != "" }

// After is the number of the last event that Next returned, -1 before the first.
func (s *Stream) After() int { return s.after }

// Next returns the next event, and io.EOF after the last. Other errors are final: the answer to the request was no success, or the
// server was away for too long.
func (s *Stream) Next(ctx context.Context) (Event, error) {
	for {
		err := s.connect(ctx)
		if err == nil {
			var e Event
			if e, err = s.read(); err == nil {
				s.wait = newPause(s.c.options.Patience)
				if e.Sequence <= s.after {
					continue
				}
				s.after = e.Sequence
				s.learn(e)
				return e, nil
			}
			s.Close()
			if errors.Is(err, io.EOF) {
				return Event{}, io.EOF
			}
		}
		if ctx.Err() != nil {
			return Event{}, ctx.Err()
		}
		var lost *Unreachable
		if !errors.As(err, &lost) {
			return Event{}, err
		}
		pause, again := s.wait.next(err, lost.before)
		if !again {
			return Event{}, err
		}
		if s.c.options.Waiting != nil {
			s.c.options.Waiting(err, pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return Event{}, err
		}
	}
}

// learn notes which response the events are of: from then on they are asked for without starting anything.
func (s *Stream) learn(e Event) {
	if s.id != "" {
		return
	}
	var first struct{ Response struct{ ID string } }
	if json.Unmarshal(e.Data, &first) == nil {
		s.id = first.Response.ID
	}
}

// Close ends the connection. The run is not affected.
func (s *Stream) Close() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

func (s *Stream) connect(ctx context.Context) error {
	if s.body != nil {
		return nil
	}
	r := s.begin
	if s.id != "" {
		r = Request{Method: http.MethodGet, Path: "/v1/responses/" + url.PathEscape(s.id), Query: url.Values{"stream": {"true"}}}
		if s.after >= 0 {
			r.Query.Set("starting_after", strconv.Itoa(s.after))
		}
	}
	r.Header = http.Header{"Accept": {"text/event-stream"}}
	resp, err := s.c.send(ctx, r)
	if err != nil {
		return err
	}
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		resp.Body.Close()
		return fmt.Errorf("%s answered %s in the place of a stream: is that the address of a Perdure server?", s.c.URL(), oneLine(kind))
	}
	s.body, s.lines = resp.Body, bufio.NewReaderSize(resp.Body, 64<<10)
	return nil
}

// read returns the next event of the connection, io.EOF at the end that the server marks, or an [*Unreachable].
func (s *Stream) read() (Event, error) {
	var data []byte
	for {
		line, err := s.line()
		if err != nil {
			return Event{}, err
		}
		switch value, isData := bytes.CutPrefix(line, []byte("data:")); {
		case isData:
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
		case len(line) > 0 || data == nil: // a comment, the name of the event, or nothing yet
		case string(data) == "[DONE]":
			return Event{}, io.EOF
		default:
			e := Event{Data: data}
			if err := json.Unmarshal(data, &e); err != nil || e.Type == "" {
				return Event{}, fmt.Errorf("%s sent an event that this program cannot read", s.c.URL())
			}
			return e, nil
		}
	}
}

// line returns a line without its end.
func (s *Stream) line() ([]byte, error) {
	var line []byte
	for {
		part, more, err := s.lines.ReadLine()
		if errors.Is(err, io.EOF) {
			// Even a clean end is a cut: the last event is followed by a mark.
			err = s.c.unreachable(err, true)
		}
		if err != nil {
			return nil, err
		}
		line = append(line, part...)
		if len(line) > maxAnswer {
			return nil, fmt.Errorf("%s sent an event larger than %d MiB", s.c.URL(), maxAnswer>>20)
		}
		if !more {
			return line, nil
		}
	}
}
