package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWatchWithoutEvents: of a response whose events are not kept any more, what the run has come to is shown, now or when it is over.
func TestWatchWithoutEvents(t *testing.T) {
	t.Parallel()
	polls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("stream") != "" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"type":"invalid_request","param":"stream","message":"the events of this response are no longer kept"}}`)
			return
		}
		status := "in_progress"
		if polls++; polls > 1 {
			status = "incomplete"
		}
		fmt.Fprintf(w, `{"id":"resp_1","status":%q,"incomplete_details":{"reason":"max_output_tokens"},
			"output":[{"type":"message","id":"m","status":"incomplete","content":[{"type":"output_text","text":"as far as it came"}]}]}`, status)
	}))
	t.Cleanup(server.Close)
	code, out, errs := perdure(t.Context(), "responses", "watch", "resp_1", "--server", server.URL)
	if code != exitIncomplete || out != "as far as it came\n" || !strings.Contains(errs, "the answer reached the largest number of tokens") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
	}
}

// TestReplacedText: a model that breaks off begins again. A pipe gets what counts, and is told if something it has got does not.
func TestReplacedText(t *testing.T) {
	t.Parallel()
	item := func(id, status, text string) string {
		return fmt.Sprintf(`{"type":"message","id":%q,"status":%q,"content":[{"type":"output_text","text":%q}]}`, id, status, text)
	}
	for _, tt := range []struct {
		name, first, final, out string
		told                    bool
	}{
		{"broken off", item("m0", "incomplete", "half"), item("m1", "completed", "whole"), "whole\n", false},
		{"replaced after its end", item("m0", "completed", "early"), item("m1", "completed", "late"), "early\nlate\n", true},
		{"only in the response", "", item("m1", "completed", "whole"), "whole\n", false},
		{"cut at its end", item("m0", "incomplete", "cut"), item("m0", "incomplete", "cut"), "cut\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				n := 0
				send := func(kind, member, value string) {
					fmt.Fprintf(w, "data: {\"type\":%q,\"sequence_number\":%d,%q:%s}\n\n", kind, n, member, value)
					n++
				}
				send("response.created", "response", `{"id":"resp_1"}`)
				if tt.first != "" {
					send("response.output_item.done", "item", tt.first)
				}
				send("response.completed", "response", `{"id":"resp_1","status":"completed","output":[`+tt.final+`]}`)
				fmt.Fprint(w, "data: [DONE]\n\n")
			}))
			t.Cleanup(server.Close)
			code, out, errs := perdure(t.Context(), "run", "x", "--server", server.URL)
			if told := strings.Contains(errs, "was replaced by what follows it"); code != 0 || out != tt.out || told != tt.told {
				t.Errorf("exit %d, stdout %q, want %q; stderr %q", code, out, tt.out, errs)
			}
		})
	}
}
