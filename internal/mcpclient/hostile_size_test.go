package mcpclient_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
)

// Each test below is one thing that a hostile or broken server does. Those
// that measure memory or goroutines do not run in parallel with others.

const (
	huge       = 512 << 20
	memory     = 96 << 20 // generous: the bound is 8 MiB, and the server counts too
	socketSlop = 16 << 20 // what the kernel may hold beside the bound
)

func hugeJSONBody(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	var sent atomic.Int64
	h.On("tools/call", mcptest.HugeJSON(huge, &sent))
	used := allocated(func() {
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageSize})
	})
	if used > memory {
		t.Errorf("allocated %d MiB, want at most %d", used>>20, memory>>20)
	}
	if got := sent.Load(); got > 8<<20+socketSlop {
		t.Errorf("the server sent %d MiB before it was cut off", got>>20)
	}
}

func hugeJSONBodyOfList(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	var sent atomic.Int64
	h.On("tools/list", mcptest.HugeJSON(huge, &sent))
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageSize})
	if got := sent.Load(); got > 4<<20+socketSlop {
		t.Errorf("the server sent %d MiB before it was cut off", got>>20)
	}
}

func hugeInitialize(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	var sent atomic.Int64
	h.On("initialize", mcptest.HugeJSON(huge, &sent))
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageSize, Sent: mcpclient.NotSent})
	if got := sent.Load(); got > 1<<20+socketSlop {
		t.Errorf("the server sent %d MiB before it was cut off", got>>20)
	}
}

func gzipBomb(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	var sent atomic.Int64
	h.On("tools/call", mcptest.GzipBomb(128<<20, &sent))
	used := allocated(func() {
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageSize})
	})
	if used > memory {
		t.Errorf("allocated %d MiB, want at most %d", used>>20, memory>>20)
	}
}

func hugeBodyOfErrorStatus(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusTeapot, http.StatusInternalServerError} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			checkGoroutines(t)
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			var sent atomic.Int64
			h.On("tools/list", mcptest.HugeStatus(status, huge, &sent))
			_, err := c.ListTools(t.Context(), "run", at(h.URL()))
			if err == nil {
				t.Fatal("got no error")
			}
			if got := sent.Load(); got > socketSlop {
				t.Errorf("the server sent %d MiB before it was cut off", got>>20)
			}
		})
	}
}

func hugeEvent(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	var sent atomic.Int64
	h.On("tools/call", mcptest.HugeEvent(128<<20, &sent))
	used := allocated(func() {
		_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
		wantError(t, err, mcpclient.Error{Stage: mcpclient.StageSize})
	})
	if used > memory {
		t.Errorf("allocated %d MiB, want at most %d", used>>20, memory>>20)
	}
	if got := sent.Load(); got > 8<<20+socketSlop {
		t.Errorf("the server sent %d MiB before it was cut off", got>>20)
	}
}

func manyEventsWithoutAnswer(t *testing.T) {
	checkGoroutines(t)
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/call", func(w http.ResponseWriter, _ *http.Request, _ mcptest.Message) {
		w.Header().Set("Content-Type", "text/event-stream")
		progress := `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"x":"` + strings.Repeat("x", 4096) + "\"}}\n\n"
		for {
			if _, err := w.Write([]byte(progress)); err != nil {
				return
			}
		}
	})
	_, err := c.CallTool(t.Context(), "run", at(h.URL()), callT)
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageSize})
}

func hugeHeader(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/list", mcptest.WithHeader("X-Huge", strings.Repeat("x", 1<<20), mcptest.Result(`{"tools":[]}`)))
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageConnect, Temporary: true})
}

func endlessPages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tools     string
		wantErr   bool
		wantPages int
	}{
		"empty pages":     {tools: "", wantErr: true, wantPages: 20},
		"broken tools":    {tools: `{}`, wantErr: true, wantPages: 20},
		"one tool a page": {tools: `{"name":"same","inputSchema":{}}`, wantErr: true, wantPages: 20},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, c := newHostile(t), newClient(t, mcpclient.Options{})
			h.On("tools/list", mcptest.EndlessPages(test.tools))
			_, err := c.ListTools(t.Context(), "run", at(h.URL()))
			wantError(t, err, mcpclient.Error{Stage: mcpclient.StageList, Sent: mcpclient.Answered})
			if got := h.Count("tools/list"); got != test.wantPages {
				t.Errorf("fetched %d pages, want %d", got, test.wantPages)
			}
		})
	}
}

func pagesShareOneBoundOnBytes(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{MaxListBytes: 10_000})
	h.On("tools/list", mcptest.EndlessPages(`"`+strings.Repeat("x", 4000)+`"`))
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageSize})
	if got := h.Count("tools/list"); got != 3 {
		t.Errorf("fetched %d pages, want 3", got)
	}
}

func repeatedCursor(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{})
	h.On("tools/list", mcptest.Result(`{"tools":[],"nextCursor":"again"}`))
	_, err := c.ListTools(t.Context(), "run", at(h.URL()))
	wantError(t, err, mcpclient.Error{Stage: mcpclient.StageList, Sent: mcpclient.Answered})
	if got := h.Count("tools/list"); got != 2 {
		t.Errorf("fetched %d pages, want 2", got)
	}
}

func moreToolsThanAllowed(t *testing.T) {
	t.Parallel()
	h, c := newHostile(t), newClient(t, mcpclient.Options{MaxTools: 3})
	h.On("tools/list", mcptest.InTurn(
		mcptest.Result(`{"tools":[{"name":"a","inputSchema":{}},{"name":"b","inputSchema":{}}],"nextCursor":"2"}`),
		mcptest.Result(`{"tools":[{"name":"c","inputSchema":{}},{"name":"d","inputSchema":{}}],"nextCursor":"3"}`)))
	listing, err := c.ListTools(t.Context(), "run", at(h.URL()))
	if err != nil {
		t.Fatal(err)
	}
	if len(listing.Tools) != 3 || len(listing.Dropped) != 1 {
		t.Errorf("got %d tools and dropped %v, want 3 tools and one note", len(listing.Tools), listing.Dropped)
	}
	if got := h.Count("tools/list"); got != 2 {
		t.Errorf("fetched %d pages, want 2", got)
	}
}
