package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

const (
	// mostMemory is what a worker, or a starter, may take at its peak, whatever servers do.
	mostMemory = 200 << 20
	// sameTime is how many runs meet one kind of server at the same time.
	sameTime = 2
)

// hostileRow is something that a server does, by its name in docs/security.md, and the method that it does it to.
type hostileRow struct {
	name, method string
	answer       func() mcptest.Answer
}

// hostileRows are those that reach the process. What they do to a call, in detail, package mcpclient tests under the same names.
func hostileRows() []hostileRow {
	var sent atomic.Int64
	same := func(a mcptest.Answer) func() mcptest.Answer { return func() mcptest.Answer { return a } }
	deep := strings.Repeat(`{"a":`, 100_000)
	return []hostileRow{
		{"application/json body 512 MB", "tools/call", same(mcptest.HugeJSON(512<<20, &sent))},
		{"application/json body 512 MB", "tools/list", same(mcptest.HugeJSON(512<<20, &sent))},
		{"application/json body 512 MB", "initialize", same(mcptest.HugeJSON(512<<20, &sent))},
		{"gzip bomb", "tools/call", same(mcptest.GzipBomb(128<<20, &sent))},
		{"gzip bomb", "tools/list", same(mcptest.GzipBomb(128<<20, &sent))},
		{"non-2xx with a body of 512 MB", "tools/call", same(mcptest.HugeStatus(http.StatusNotFound, 512<<20, &sent))},
		{"one SSE event of 128 MB", "tools/call", same(mcptest.HugeEvent(128<<20, &sent))},
		{"one SSE event of 128 MB", "tools/list", same(mcptest.HugeEvent(128<<20, &sent))},
		{"endless nextCursor", "tools/list", func() mcptest.Answer {
			return mcptest.EndlessPages(`{"name":"t","description":"` + strings.Repeat("d", 100<<10) + `","inputSchema":{}}`)
		}},
		{"answers, then holds the SSE stream open", "tools/call", same(mcptest.EventsHeldOpen(mcptest.ResultEvent(`{"content":[]}`)))},
		{"black hole", "tools/call", same(mcptest.Silent())},
		{"black hole", "initialize", same(mcptest.Silent())},
		{"redirect to another origin", "tools/call", same(mcptest.Status(http.StatusTemporaryRedirect, "Location", "http://127.0.0.1:1/"))},
		{"401, 403, 404, 418, 429, 5xx", "tools/list", same(mcptest.Status(http.StatusForbidden))},
		{"unknown content type, bad base64, content a string", "tools/call", same(mcptest.Result(`{"content":[{"type":"video"},{"type":"image","data":"` + strings.Repeat("*", 7<<20) + `"}]}`))},
		{"wrong response ID, batch, empty body, no JSON", "tools/call", same(mcptest.Body(200, "application/json", `{"jsonrpc":"2.0","id":$ID,"result":`+deep))},
		{"a schema with 1e400, missing, null or true; an invalid x-mcp-header", "tools/list", same(mcptest.Result(
			`{"tools":[{"name":"t","inputSchema":{"type":"object"}}` + strings.Repeat(`,{"name":"x","inputSchema":{"maximum":1e400}}`, 60_000) + `]}`))},
		{"structuredContent and schemas with large numbers", "tools/call", same(mcptest.Result(`{"structuredContent":[` + strings.Repeat("9007199254740993,", 400_000) + `1]}`))},
		{"requests of the server to us", "tools/call", same(mcptest.Events(append(manyPings(5000), mcptest.ResultEvent(`{"content":[]}`))...))},
	}
}

func manyPings(n int) []string {
	pings := make([]string, n)
	for i := range pings {
		pings[i] = fmt.Sprintf(`{"jsonrpc":"2.0","id":"s%d","method":"ping"}`, i)
	}
	return pings
}

// TestHostileServers has runs meet every kind of hostile server at the same time. Each ends as it should, and neither process ever takes
// more memory than it may.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Turn() == 0 {
			return modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: "{}"})
		}
		return modeltest.Text("done")
	})
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	s := ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: model.URL(), Plain: true,
		// A black hole is left after the time for connecting. Discovery has more of it: 60,000 tools are to be listed, on a busy machine, too.
		Settings: "limits:\n  discovery: {timeout: 30s, attempts: 1}\n  call: {timeout: 5s, attempts: 1}\n",
		Env:      []string{"PERDURE_NETWORK_CONNECT_TIMEOUT=3s"},
	})
	for _, row := range hostileRows() {
		var group errgroup.Group
		for range sameTime {
			group.Go(func() error { return s.meet(t, row) })
		}
		if err := group.Wait(); err != nil {
			t.Errorf("%s, %s: %v", row.name, row.method, err)
		}
		for _, p := range []*process{s.worker, s.starter} {
			peak := p.peakMemory(t)
			t.Logf("%s, %s: %s had %d MB at most", row.name, row.method, p.name, peak>>20)
			if peak > mostMemory {
				t.Fatalf("%s, %s: %s had %d MB, more than %d", row.name, row.method, p.name, peak>>20, mostMemory>>20)
			}
		}
	}
}

// meet has one run meet one server. A server that cannot be listed fails the request; a call that fails does not fail the run.
func (s *stack) meet(t *testing.T, row hostileRow) (err error) {
	server := mcptest.NewHostile()
	defer func() { err = errors.Join(err, server.Close()) }()
	server.On(mcptest.OnResponse, mcptest.Status(http.StatusAccepted))
	server.On(row.method, row.answer())
	a, err := s.respond(t.Context(), `{"input":"x","tools":[{"type":"mcp","server_label":"s","server_url":"`+server.URL()+`"}]}`)
	if err != nil {
		return err
	}
	listed := row.method == "tools/call" || strings.HasPrefix(row.name, "a schema with")
	if want := map[bool]int{true: http.StatusOK, false: http.StatusFailedDependency}[listed]; a.status != want {
		return fmt.Errorf("status %d, want %d: %.500s", a.status, want, a.body)
	}
	if listed && server.Count("tools/call") != 1 {
		return fmt.Errorf("the tool was called %d times", server.Count("tools/call"))
	}
	return nil
}
