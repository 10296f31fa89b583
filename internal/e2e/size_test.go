package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

// What the history of a run must stay below, and that of each of its executions if it has several.
const (
	mostEvents = 3_000
	mostBytes  = 3_000_000
)

// TestSizes: the largest that is allowed works, with the limits as they are by default, and costs neither history nor memory that grows
// with it more than it must. The program is built as it is for its users: the race detector needs many times the memory.
func TestSizes(t *testing.T) { //nolint:tparallel // each subtest has the memory of the processes to itself
	t.Parallel()
	s := ownStack(t, stackOptions{
		Temporal: temporaldevtest.Address(t), Model: suite.models.url(),
		Plain: true,
	})
	for _, test := range []struct {
		name    string
		run     func(*testing.T, *stack)
		starter int // the most memory in MiB, about twice of what was measured: the garbage collector has its say
		worker  int
	}{
		// First of all: what the others free, the system may have back much later.
		{"a file of 100 MB", largeFile, 160, 100},
		{"a hundred steps with outputs of 64 KB", hundredSteps, 200, 300},
		{"640 calls", manyCalls, 200, 300},
		{"128 tools with schemas of 64 KiB", largeSchemas, 250, 300},
		{"an output of 8 MiB", largeOutput, 400, 350},
		{"an input of 30 MiB", largeInput, 800, 600},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.starter.forgetPeak(t)
			s.worker.forgetPeak(t)
			begin := time.Now()
			test.run(t, s)
			starter, worker := s.starter.peakMemory(t)>>20, s.worker.peakMemory(t)>>20
			t.Logf("%v; the starter had %d MiB at the most, the worker %d MiB", time.Since(begin).Round(time.Millisecond), starter, worker)
			if starter > test.starter || worker > test.worker {
				t.Errorf("they may have %d and %d MiB", test.starter, test.worker)
			}
		})
	}
}

// checkSmallHistory wants a run to have left little in Temporal, whatever passed through it. It returns the number of executions.
func checkSmallHistory(t *testing.T, s *stack, id string) int {
	t.Helper()
	all := s.executions(t, id)
	for i, d := range all {
		events, size := d.GetWorkflowExecutionInfo().GetHistoryLength(), d.GetWorkflowExecutionInfo().GetHistorySizeBytes()
		t.Logf("execution %d of %d: a history of %d events and %d bytes", i+1, len(all), events, size)
		if events >= mostEvents || size >= mostBytes || events == 0 || size == 0 {
			t.Errorf("it has a history of %d events and %d bytes, want less than %d and %d", events, size, mostEvents, mostBytes)
		}
	}
	return len(all)
}

func hundredSteps(t *testing.T, s *stack) {
	const steps, outputBytes = 100, 64_000
	server, tool := startHostile(t)
	var calls atomic.Int32
	output := func(n int32) string {
		return fmt.Sprintf("output %d ", n) + strings.Repeat(fmt.Sprintf("%07d ", n), outputBytes/8)
	}
	server.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		mcptest.Result(textResult(output(calls.Add(1))))(w, r, m)
	})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if turn := r.Turn(); turn < steps-1 {
			return modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: fmt.Sprintf(`{"turn":%d}`, turn)})
		}
		return modeltest.Text("The end.")
	}).Forget()
	r := s.create(t, ask(t, model, `"input": "x", "max_steps": 100, "tools": [%s]`, tool))
	if r.Status != "completed" || r.text() != "The end." || len(r.Output) != steps+1 {
		t.Fatalf("it is %s and says %q in %d items", r.Status, r.text(), len(r.Output))
	}
	for i, item := range r.Output[1:steps] {
		if item.Output != output(int32(i+1)) {
			t.Fatalf("call %d has the output %.80q with %d bytes", i, item.Output, len(item.Output))
		}
	}
	if n := checkSmallHistory(t, s, r.ID); n != 1 {
		t.Errorf("it took %d executions, want one", n)
	}
}

// manyCalls is a run whose history grows past what one execution may have by default.
func manyCalls(t *testing.T, s *stack) {
	const steps, parallel = 40, 16
	server, tool := startHostile(t)
	server.On("tools/list", mcptest.Result(readOnlyTool))
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		turn := r.Turn()
		if turn == steps {
			return modeltest.Text("The end.")
		}
		var calls []modeltest.Call
		for n := range parallel {
			calls = append(calls, modeltest.Call{Name: "s__t", Arguments: fmt.Sprintf(`{"turn":%d,"n":%d}`, turn, n)})
		}
		return modeltest.Calls(calls...)
	})
	r := s.create(t, ask(t, model, `"input": "x", "max_steps": 100, "tools": [%s]`, tool))
	if r.Status != "completed" || r.text() != "The end." || len(r.Output) != steps*parallel+2 {
		t.Fatalf("it is %s and says %q in %d items", r.Status, r.text(), len(r.Output))
	}
	for i, item := range r.Output[1 : 1+steps*parallel] {
		if want := fmt.Sprintf(`{"turn":%d,"n":%d}`, i/parallel, i%parallel); item.Arguments != want || item.Output != "ok" {
			t.Fatalf("call %d is %+v, want that of %s", i, item, want)
		}
	}
	if n := server.Count("tools/call"); n != steps*parallel {
		t.Errorf("%d calls were made, want %d", n, steps*parallel)
	}
	if n := checkSmallHistory(t, s, r.ID); n < 2 {
		t.Errorf("it took %d execution, want more", n)
	}
}

func textResult(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can be encoded
	}
	return `{"content":[{"type":"text","text":` + string(encoded) + `}]}`
}

func largeOutput(t *testing.T, s *stack) {
	server, tool := startHostile(t)
	// The answer as a whole is what has 8 MiB.
	const envelope = len(`{"jsonrpc":"2.0","id":99,"result":{"content":[{"type":"text","text":""}]}}`)
	output := "begin " + strings.Repeat("0123456 ", (8<<20-envelope)/8-2) + " end"
	server.On("tools/call", mcptest.Result(textResult(output)))
	model := modeltest.New(
		modeltest.Calls(modeltest.Call{Name: "s__t", Arguments: "{}"}), modeltest.Text("I have read it."), modeltest.Text("It is still there."))
	frames := postStream(t, s.url, ask(t, model, `"input": "x", "stream": true, "tools": [%s]`, tool)).whole(t)
	id := responseOf(t, frames).ID
	events := checkWhole(t, frames)
	for name, r := range map[string]response{"the stream": *events[len(events)-1].Response, "GET": s.get(t, id)} {
		if r.Status != "completed" || r.text() != "I have read it." || len(r.Output) != 3 || r.Output[1].Output != output {
			t.Fatalf("%s: it is %s, says %q, and the output has %d bytes, want %d", name, r.Status, r.text(), len(r.Output[1].Output), len(output))
		}
	}
	more := s.create(t, askAgain(t, `"input": "y", "previous_response_id": "%s", "tools": [%s]`, id, tool))
	if more.text() != "It is still there." {
		t.Errorf("what goes on with it says %q", more.text())
	}
	for n, request := range model.Requests()[1:] {
		for _, m := range request.Messages {
			whole, cut := strings.CutSuffix(m.Content, "are left out]")
			if m.Role == "tool" && (len(m.Content) < 99_000 || len(m.Content) > 101_000 || !cut || !strings.HasPrefix(whole, "begin ")) {
				t.Errorf("request %d has an output of %d bytes: %.20q … %q", n, len(m.Content), m.Content, m.Content[max(0, len(m.Content)-20):])
			}
		}
	}
	checkSmallHistory(t, s, id)
	checkSmallHistory(t, s, more.ID)
}

func largeInput(t *testing.T, s *stack) {
	const size = 30 << 20
	input := "begin " + strings.Repeat("0123456 ", size/8-2) + "end"
	var asked atomic.Int32
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		n := asked.Add(1)
		if r.Messages[0].Content != input {
			return modeltest.Text(fmt.Sprintf("I was told %.20q with %d bytes.", r.Messages[0].Content, len(r.Messages[0].Content)))
		}
		return modeltest.Text(fmt.Sprintf("Answer %d.", n))
	}).Forget()
	r := s.create(t, ask(t, model, `"input": "%s"`, input))
	if r.Status != "completed" || r.text() != "Answer 1." {
		t.Errorf("it is %s and says %q", r.Status, r.text())
	}
	items := s.send(t, http.MethodGet, "/responses/"+r.ID+"/input_items", "")
	if items.status != http.StatusOK || !bytes.Contains(items.body, []byte(input)) {
		t.Errorf("status %d, input items of %d bytes: %.100s", items.status, len(items.body), items.body)
	}
	more := s.create(t, askAgain(t, `"input": "y", "previous_response_id": "%s"`, r.ID))
	if more.text() != "Answer 2." {
		t.Errorf("what goes on with it says %q", more.text())
	}
	checkSmallHistory(t, s, r.ID)
	checkSmallHistory(t, s, more.ID)
}

func largeSchemas(t *testing.T, s *stack) {
	const servers, each, schemaBytes = 4, 32, 64 << 10
	// What a schema needs beside its filler.
	const schema = `{"type":"object","properties":{"x":{"type":"string","description":"%s"}}}`
	filler := strings.Repeat("0123456 ", schemaBytes/8)[:schemaBytes-len(schema)+len("%s")]
	var list []string
	for n := range each {
		list = append(list, fmt.Sprintf(`{"name":"t%d","inputSchema":%s}`, n, fmt.Sprintf(schema, filler)))
	}
	var tools []string
	for n := range servers {
		server, tool := startHostile(t)
		server.On("tools/list", mcptest.Result(`{"tools":[`+strings.Join(list, ",")+`]}`))
		tools = append(tools, strings.Replace(tool, `"server_label": "s"`, fmt.Sprintf(`"server_label": "s%d"`, n), 1))
	}
	model := modeltest.New(modeltest.Calls(modeltest.Call{Name: "s3__t31", Arguments: `{"x":"y"}`}), modeltest.Text("That is a lot."))
	r := s.create(t, ask(t, model, `"input": "x", "tools": [%s]`, strings.Join(tools, ", ")))
	if r.Status != "completed" || r.text() != "That is a lot." || len(r.Output) != servers+2 || r.Output[servers].Output != "ok" {
		t.Fatalf("it is %s and says %q in the items %v", r.Status, r.text(), r.types())
	}
	for n, request := range model.Requests() {
		if len(request.Tools) != servers*each {
			t.Errorf("request %d offers %d tools, want %d", n, len(request.Tools), servers*each)
		}
		for _, tool := range request.Tools {
			if !strings.Contains(string(tool.Parameters), filler) {
				t.Fatalf("request %d offers %s with a schema of %d bytes", n, tool.Name, len(tool.Parameters))
			}
		}
	}
	checkSmallHistory(t, s, r.ID)
}
