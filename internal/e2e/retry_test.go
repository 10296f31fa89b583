package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"perdure/internal/mcptest"
)

// callKeys are the idempotency keys of the calls that a server got, in their order. Each call must carry its key in both places.
func callKeys(t *testing.T, server *mcptest.Hostile) []string {
	t.Helper()
	var keys []string
	for _, r := range server.Requests() {
		if r.Method != "tools/call" {
			continue
		}
		var m struct {
			Params struct {
				Meta map[string]json.RawMessage `json:"_meta"`
			}
		}
		if err := json.Unmarshal(r.Body, &m); err != nil {
			t.Fatal(err)
		}
		var inBody string
		if err := json.Unmarshal(m.Params.Meta["perdure.dev/idempotency-key"], &inBody); err != nil {
			t.Errorf("the call has no idempotency key in its _meta: %s", r.Body)
		}
		if header := r.Header.Get("Idempotency-Key"); header != inBody || header == "" {
			t.Errorf("a call has the idempotency key %q in its header and %q in its body", header, inBody)
		}
		keys = append(keys, inBody)
	}
	return keys
}

// TestWorkerKilledDuringWriteThatMayBeRepeated: where the operator says so, a write is made again, and the server can tell that it is
// the same one.
func TestWorkerKilledDuringWriteThatMayBeRepeated(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, `
mcp:
  retry: never
  servers:
    - origin: http://127.0.0.1:*
      retry: never
      tools:
        - {name: t, retry: always}
`, callThenText)
	k.mcp.On("tools/list", mcptest.Result(writeTool))
	k.mcp.On("tools/call", mcptest.InTurn(mcptest.Silent(), mcptest.Result(`{"content":[{"type":"text","text":"written"}]}`)))
	later := k.respondLater(t.Context(), k.withTool())
	if err := k.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	got := completes(t, later, k.killWorker(t))
	call := got.call(t)
	if call.Error != nil || call.Output != "written" {
		t.Errorf("got %+v, want the output of the second attempt", call)
	}
	if keys := callKeys(t, k.mcp); !slices.Equal(keys, []string{call.ID, call.ID}) {
		t.Errorf("the tool was called with the idempotency keys %q, want twice that of the item, %s", keys, call.ID)
	}
	checkReplay(t, k.stack, got.ID)
}

// TestWorkerKilledDuringReadThatMustNotBeRepeated: the operator's "never" stands above what the server declares.
func TestWorkerKilledDuringReadThatMustNotBeRepeated(t *testing.T) {
	t.Parallel()
	k := newKillStack(t, "mcp:\n  retry: never\n", callThenText)
	k.mcp.On("tools/list", mcptest.Result(readOnlyTool))
	k.mcp.On("tools/call", mcptest.Silent())
	later := k.respondLater(t.Context(), k.withTool())
	if err := k.mcp.Await(t.Context(), "tools/call", 1); err != nil {
		t.Fatal(err)
	}
	got := completes(t, later, k.killWorker(t))
	call := got.call(t)
	if call.Error == nil || !strings.Contains(*call.Error, "the outcome of this call is unknown") || call.Output != "" {
		t.Errorf("got %+v, want an error that says that the outcome is unknown", call)
	}
	if keys := callKeys(t, k.mcp); !slices.Equal(keys, []string{call.ID}) {
		t.Errorf("the tool was called with the idempotency keys %q, want once", keys)
	}
	checkReplay(t, k.stack, got.ID)
}
