package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// stampBytes is the length of a stamp, which is a moment in nanoseconds since 1970 and a space.
const stampBytes = 20

func stamp() string { return fmt.Sprintf("%019d ", time.Now().UnixNano()) }

// heard is what came of a stream.
type heard struct {
	text   []byte
	delays []time.Duration // of all stamps
	events int             // in which the stamps came
}

// add takes in a delta. It usually is one stamp, but what was made up for is several.
func (h *heard) add(text string, at time.Time) error {
	h.events++
	h.text = append(h.text, text...)
	for ; text != ""; text = text[stampBytes:] {
		if len(text) < stampBytes {
			return fmt.Errorf("a delta ends with %q", text)
		}
		nanos, err := strconv.ParseInt(text[:stampBytes-1], 10, 64)
		if err != nil {
			return err
		}
		h.delays = append(h.delays, at.Sub(time.Unix(0, nanos)))
	}
	return nil
}

// maxLine bounds a line of a stream. The last event of a response repeats its text.
const maxLine = 4 << 20

// read hands out the data of each event with the moment at which it came, until the stream's last line.
func read(body io.Reader, each func(data []byte, at time.Time) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 4<<10), maxLine)
	for lines.Scan() {
		at := time.Now()
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if string(data) == "[DONE]" {
			return nil
		}
		if err := each(data, at); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the stream broke off")
}

// open makes a request for a stream.
func open(c *http.Client, r *http.Request) (io.ReadCloser, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, said)
	}
	return resp.Body, nil
}

// listen reads the model itself.
func (t *talker) listen(ctx context.Context, _ *round, name string, h *heard) error {
	body := strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":` + quote(name) + `}]}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.origin+"/v1/chat/completions", body)
	if err != nil {
		return err
	}
	stream, err := open(t.client, r)
	if err != nil {
		return err
	}
	defer stream.Close()
	return read(stream, func(data []byte, at time.Time) error {
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			return err
		}
		if len(chunk.Choices) == 0 || chunk.Choices[0].Delta.Content == "" {
			return nil
		}
		return h.add(chunk.Choices[0].Delta.Content, at)
	})
}

// event is what counts of an event of the API.
type event struct {
	Type     string
	Sequence int `json:"sequence_number"`
	Delta    string
	Response struct {
		ID     string
		Status string
		Output []struct{ Content []struct{ Text string } }
	}
}

// listen makes a run and reads its events.
func (p *perdure) listen(ctx context.Context, _ *round, name string, h *heard) error {
	r, err := p.request(ctx, http.MethodPost, "/v1/responses", `{"model":"bench/m","stream":true,"input":`+quote(name)+`}`)
	if err != nil {
		return err
	}
	stream, err := open(p.streams, r)
	if err != nil {
		return err
	}
	defer stream.Close()
	next := 0
	var last event
	err = read(stream, func(data []byte, at time.Time) error {
		last = event{}
		if err := json.Unmarshal(data, &last); err != nil {
			return err
		}
		if last.Sequence != next {
			return fmt.Errorf("event %d came where %d was due", last.Sequence, next)
		}
		next++
		if last.Type != "response.output_text.delta" {
			return nil
		}
		return h.add(last.Delta, at)
	})
	if err != nil {
		return err
	}
	output := last.Response.Output
	if last.Type != "response.completed" || len(output) != 1 || len(output[0].Content) != 1 || output[0].Content[0].Text != string(h.text) {
		return fmt.Errorf("the stream ends with %s, which does not repeat what it said", last.Type)
	}
	return nil
}
