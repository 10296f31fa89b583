package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// frame is an event of a stream as it came over the wire.
type frame struct {
	name string // of the line event:
	data string // of the line data:, byte for byte
}

// sse reads a stream of events as no library does: it sees every byte, and where a stream was cut off.
type sse struct {
	lines *bufio.Reader
	// cut breaks the connection.
	cut func()
}

// errCutOff is how a stream ends that does not say that it has ended.
var errCutOff = errors.New("the stream was cut off")

// answerTimeout bounds how long a test waits for an answer, or for the end of a stream, that never comes.
const answerTimeout = 2 * time.Minute

// openStream sends a request whose answer is a stream. The headers are pairs.
func openStream(ctx context.Context, method, url, body string, headers ...string) (*sse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	r, err := newRequest(ctx, method, url, apiKey, body, headers...)
	if err != nil {
		cancel()
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r) //nolint:bodyclose // cut closes it
	if err != nil {
		cancel()
		return nil, err
	}
	out := &sse{bufio.NewReader(resp.Body), func() {
		cancel()
		resp.Body.Close()
	}}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		out.cut()
		return nil, &noStreamError{resp.StatusCode, kind, body}
	}
	return out, nil
}

// noStreamError is an answer that is no stream.
type noStreamError struct {
	status int
	kind   string
	body   []byte
}

func (e *noStreamError) Error() string {
	return fmt.Sprintf("status %d, content type %q, want a stream: %s", e.status, e.kind, e.body)
}

// newRequest is a request with headers, which are pairs.
func newRequest(ctx context.Context, method, url, key, body string, headers ...string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r, nil
}

// postStream starts a run and reads its events.
func postStream(t *testing.T, starter string, body []byte) *sse {
	t.Helper()
	s, err := openStream(t.Context(), http.MethodPost, starter+"/v1/responses", string(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cut)
	return s
}

// resume reads the events of a response after one of them, -1 for all.
func resume(ctx context.Context, starter, id string, after int) (*sse, error) {
	url := starter + "/v1/responses/" + id + "?stream=true"
	if after >= 0 {
		url += "&starting_after=" + strconv.Itoa(after)
	}
	return openStream(ctx, http.MethodGet, url, "")
}

// replay returns all events of a response from a starter.
func replay(t *testing.T, starter, id string) []frame {
	t.Helper()
	s, err := resume(t.Context(), starter, id, -1)
	if err != nil {
		t.Fatal(err)
	}
	return s.whole(t)
}

// next returns the next event, io.EOF after the last, or errCutOff.
func (s *sse) next() (frame, error) {
	var f frame
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return frame{}, fmt.Errorf("%w: %w", errCutOff, err)
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && f.data == "[DONE]":
			return frame{}, io.EOF
		case line == "" && f.data != "":
			return f, nil
		case line == "":
		case name == "": // a comment
		case name == "event" && f.name == "" && f.data == "":
			f.name = value
		case name == "data" && f.data == "":
			f.data = value
		default:
			return frame{}, fmt.Errorf("unexpected line %q", line)
		}
	}
}

// take returns the next n events.
func (s *sse) take(n int) ([]frame, error) {
	var out []frame
	for range n {
		f, err := s.next()
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
	return out, nil
}

// until returns the events up to a text, which is that of all text deltas so far. How many deltas bring it is a matter of time.
func (s *sse) until(t *testing.T, text string) []frame {
	t.Helper()
	var out []frame
	for got := ""; got != text; {
		f, err := s.next()
		if err != nil {
			t.Fatalf("after %d events and the text %q: %v", len(out), got, err)
		}
		got += textDelta(t, f)
		out = append(out, f)
	}
	return out
}

// textDelta is what an event adds to a text.
func textDelta(t *testing.T, f frame) string {
	t.Helper()
	if f.name != "response.output_text.delta" {
		return ""
	}
	var e event
	if err := json.Unmarshal([]byte(f.data), &e); err != nil {
		t.Fatal(err)
	}
	return e.Delta
}

// rest returns the events to the end. Its error is nil only if the stream says that this is the end.
func (s *sse) rest() ([]frame, error) {
	defer s.cut()
	var out []frame
	for {
		f, err := s.next()
		switch {
		case err == nil:
			out = append(out, f)
		case err == io.EOF: //nolint:errorlint // next returns it as it is
			return out, nil
		default:
			return out, err
		}
	}
}

// whole is rest for a stream that must not be cut off.
func (s *sse) whole(t *testing.T) []frame {
	t.Helper()
	frames, err := s.rest()
	if err != nil {
		t.Fatalf("after %d events: %v", len(frames), err)
	}
	return frames
}

// difference says where two sequences of events differ, which they may in no byte. It is empty if they do not.
func difference(want, got []frame) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return fmt.Sprintf("event %d of %d is\n%+v, want\n%+v", i, len(got), got[i], want[i])
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("there are %d events, want %d", len(got), len(want))
	}
	return ""
}

// wireEvent is what an event says of items.
type wireEvent struct {
	Type         string
	OutputIndex  int    `json:"output_index"`
	ItemID       string `json:"item_id"`
	ContentIndex int    `json:"content_index"`
	SummaryIndex int    `json:"summary_index"`
	Delta        string
	Text         string
	Refusal      string
	Arguments    string
	Item         json.RawMessage
}

// wireItem is what an item says.
type wireItem struct {
	ID        string
	Type      string
	Status    string
	Arguments string
	Content   []struct{ Type, Text, Refusal string }
	Summary   []struct{ Text string }
}

// said is what of an item comes in pieces, by the events that bring it.
func (i wireItem) said() map[string]string {
	out := map[string]string{}
	for k, part := range i.Content {
		if part.Type == "refusal" {
			out[fmt.Sprint("response.refusal ", k)] = part.Refusal
		} else {
			out[fmt.Sprint("response.output_text ", k)] = part.Text
		}
	}
	for k, part := range i.Summary {
		out[fmt.Sprint("response.reasoning_summary_text ", k)] = part.Text
	}
	if i.Type == "function_call" || i.Type == "mcp_call" {
		out["response."+i.Type+"_arguments 0"] = i.Arguments
	}
	return out
}

// checkWhole checks what holds for the events of every run, whatever happened to it: they are numbered without gaps, an item's text is
// that of its deltas, every item that begins is done, and what was done last at an index is what the final output has there.
func checkWhole(t *testing.T, frames []frame) []event {
	t.Helper()
	var raw []json.RawMessage
	for _, f := range frames {
		raw = append(raw, json.RawMessage(f.data))
	}
	events := checkEvents(t, raw)
	open := map[int]string{}               // the IDs of items that are not done, by index
	deltas := map[string]string{}          // by item and part
	ends := map[string]map[string]string{} // by item
	done := map[int]json.RawMessage{}      // the last items, by index
	for n, f := range frames {
		var e wireEvent
		if err := json.Unmarshal([]byte(f.data), &e); err != nil {
			t.Fatal(err)
		}
		if f.name != e.Type {
			t.Errorf("event %d has the name %q and the type %q", n, f.name, e.Type)
		}
		var item wireItem
		if len(e.Item) > 0 {
			if err := json.Unmarshal(e.Item, &item); err != nil {
				t.Fatal(err)
			}
		}
		part, isDelta := strings.CutSuffix(e.Type, ".delta")
		ended, isEnd := strings.CutSuffix(e.Type, ".done")
		k := fmt.Sprint(" ", e.ContentIndex+e.SummaryIndex)
		switch {
		case e.Type == "response.output_item.added":
			if open[e.OutputIndex] != "" {
				t.Errorf("event %d begins an item where %s is not done", n, open[e.OutputIndex])
			}
			open[e.OutputIndex], ends[item.ID] = item.ID, map[string]string{}
		case e.Type == "response.output_item.done":
			// A call may come to something else than was told first.
			more := item.Type == "mcp_call" && strings.Contains(string(done[e.OutputIndex]), `"id":"`+item.ID+`"`)
			if open[e.OutputIndex] != item.ID && !more {
				t.Errorf("event %d ends the item %s, which has not begun there", n, item.ID)
			}
			delete(open, e.OutputIndex)
			if diff := cmp.Diff(item.said(), ends[item.ID]); diff != "" {
				t.Errorf("event %d ends an item that says something else than its events (-item +events):\n%s", n, diff)
			}
			done[e.OutputIndex] = e.Item
		case e.ItemID != "" && e.ItemID != open[e.OutputIndex]:
			t.Errorf("event %d is about the item %s, which is not open at %d: %s", n, e.ItemID, e.OutputIndex, f.data)
		case isDelta:
			deltas[e.ItemID+part+k] += e.Delta
		case isEnd && !strings.HasSuffix(ended, "_part"):
			text := e.Text + e.Refusal + e.Arguments
			if got := deltas[e.ItemID+ended+k]; got != text {
				t.Errorf("event %d says %q, and the deltas %q", n, text, got)
			}
			ends[e.ItemID][ended+k] = text
		}
	}
	if len(open) > 0 {
		t.Errorf("items are not done at the end: %v", open)
	}
	checkFinal(t, events, done)
	return events
}

// checkFinal compares the output of the last event with the items that were done.
func checkFinal(t *testing.T, events []event, done map[int]json.RawMessage) {
	t.Helper()
	_, last := final(t, events)
	var r struct{ Output []json.RawMessage }
	if err := json.Unmarshal(last, &r); err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	for at, item := range done {
		got[at] = string(item)
	}
	// What was given up may stand after the end of the output: items that are incomplete, and lists of a run that failed for them.
	maps.DeleteFunc(got, func(at int, item string) bool {
		gone := strings.Contains(item, `"status":"incomplete"`) || strings.HasPrefix(item, `{"type":"mcp_list_tools"`)
		return at >= len(r.Output) && gone
	})
	want := map[int]string{}
	for at, item := range r.Output {
		var compact bytes.Buffer
		if err := json.Compact(&compact, item); err != nil {
			t.Fatal(err)
		}
		want[at] = compact.String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the items that were done are not those of the output (-output +done):\n%s", diff)
	}
}
