package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// outcomeUnknown is what a model reads of a write that was cut off.
const outcomeUnknown = "the outcome of this call is unknown"

// calledTool is what a server has seen of one planned call.
type calledTool struct {
	plannedCall
	keys     []string // of each request that arrived
	arrived  []time.Time
	answered int
}

// ledger is what servers and model have seen. They are the only witnesses of what was really done.
type ledger struct {
	mu      sync.Mutex
	planned map[int]*plannedRun
	calls   map[string]*calledTool
	turns   map[string][]time.Time // requests of a model, by run and turn
	lists   int
	wrong   []error // what nobody should have asked
}

func newLedger(tasks [][]*plannedRun) *ledger {
	l := &ledger{planned: map[int]*plannedRun{}, calls: map[string]*calledTool{}, turns: map[string][]time.Time{}}
	for _, task := range tasks {
		for _, run := range task {
			l.planned[run.number] = run
			for _, call := range run.calls() {
				l.calls[call.id] = &calledTool{plannedCall: call}
			}
		}
	}
	return l
}

func (l *ledger) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Errorf(format, args...))
}

// arrival records that a call has arrived at a server.
func (l *ledger) arrival(label, tool, id, key, header string) *calledTool {
	if key == "" || key != header {
		l.problem("call %s has the keys %q and %q", id, key, header)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	call := l.calls[id]
	if call == nil || call.server != label || call.tool != tool {
		l.wrong = append(l.wrong, fmt.Errorf("%s.%s was called with %q, which no model asked for", label, tool, id))
		return nil
	}
	call.keys = append(call.keys, key)
	call.arrived = append(call.arrived, time.Now())
	return call
}

func (l *ledger) answer(call *calledTool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	call.answered++
}

const chaosTools = `{"tools":[
	{"name":"look","description":"reads","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},
	{"name":"put","description":"writes, as often as you like","inputSchema":{"type":"object"},"annotations":{"idempotentHint":true}},
	{"name":"book","description":"writes","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":false}}]}`

// serve makes a server of the tools of a label.
func (l *ledger) serve(label string) *mcptest.Hostile {
	server := mcptest.NewHostile()
	server.On("tools/list", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		l.mu.Lock()
		l.lists++
		l.mu.Unlock()
		mcptest.Result(strings.ReplaceAll(chaosTools, "\n", ""))(w, r, m)
	})
	server.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		var params struct {
			Name      string
			Arguments struct{ ID string }
			Meta      map[string]string `json:"_meta"`
		}
		if err := json.Unmarshal(m.Params, &params); err != nil {
			l.problem("a call cannot be read: %w", err)
		}
		const metaKey, headerKey = "perdure.dev/idempotency-key", "Idempotency-Key"
		call := l.arrival(label, params.Name, params.Arguments.ID, params.Meta[metaKey], r.Header.Get(headerKey))
		if call == nil {
			http.Error(w, "nobody asked for that", http.StatusNotImplemented)
			return
		}
		select {
		case <-closedAfter(call.takes):
		case <-r.Context().Done():
			return
		}
		mcptest.Result(`{"content":[{"type":"text","text":"`+call.output()+`"}]}`)(w, r, m)
		l.answer(call)
	})
	return server
}

// reply is the model: it says what the plan of the run says, if it has been told what the plan says.
func (l *ledger) reply(r modeltest.Request) modeltest.Reply {
	last := -1
	var asked []string
	for i, m := range r.Messages {
		if m.Role == "user" {
			last = i
			asked = append(asked, m.Content)
		}
	}
	var number int
	if _, err := fmt.Sscanf(r.Messages[max(last, 0)].Content, "run %d", &number); err != nil || l.planned[number] == nil {
		l.problem("the model was asked %q", asked)
		return modeltest.Reply{}
	}
	run, turn := l.planned[number], r.Turn()
	if want := run.prompts(); !slices.Equal(asked, want) {
		l.problem("in run %d the model was asked %q, want %q", number, asked, want)
		return modeltest.Reply{}
	}
	if err := run.checkTold(r.Messages[last+1:], turn); err != nil {
		l.problem("turn %d of run %d: %w", turn, number, err)
		return modeltest.Reply{}
	}
	l.mu.Lock()
	key := fmt.Sprintf("%d/%d", number, turn)
	l.turns[key] = append(l.turns[key], time.Now())
	l.mu.Unlock()
	if turn == len(run.turns) {
		return paced(modeltest.Text(run.text), run.pace, len(run.text)/pieceSize)
	}
	var calls []modeltest.Call
	for _, c := range run.turns[turn].calls {
		calls = append(calls, modeltest.Call{Name: c.server + "__" + c.tool, Arguments: c.arguments()})
	}
	text := run.turns[turn].text
	return paced(modeltest.Calls(calls...).WithText(text), run.pace, len(text)/pieceSize+2*len(calls))
}

// checkTold checks what a model is told of the run's turns so far: each once, with the results of its calls.
func (p *plannedRun) checkTold(messages []modeltest.Message, turns int) error {
	if turns > len(p.turns) {
		return fmt.Errorf("the run has %d turns", len(p.turns)+1)
	}
	next := 0
	take := func(role string) (modeltest.Message, error) {
		if next >= len(messages) || messages[next].Role != role {
			return modeltest.Message{}, fmt.Errorf("message %d is not of the role %s: %+v", next, role, messages)
		}
		next++
		return messages[next-1], nil
	}
	for _, turn := range p.turns[:turns] {
		said, err := take("assistant")
		if err != nil {
			return err
		}
		if said.Content != turn.text || len(said.ToolCalls) != len(turn.calls) {
			return fmt.Errorf("the model said %q with %d calls, and is told %+v", turn.text, len(turn.calls), said)
		}
		for _, call := range turn.calls {
			result, err := take("tool")
			if err != nil {
				return err
			}
			unknown := call.tool == bookTool && strings.Contains(result.Content, outcomeUnknown)
			if result.Content != call.output() && !unknown {
				return fmt.Errorf("the model is told that %s.%s gave %q", call.server, call.tool, result.Content)
			}
		}
	}
	if next != len(messages) {
		return fmt.Errorf("the model is told more than there was: %+v", messages[next:])
	}
	return nil
}

// paced sends one piece after another, as a model that thinks.
func paced(reply modeltest.Reply, pace time.Duration, pieces int) modeltest.Reply {
	for n := range pieces {
		reply = reply.HoldAfter(n+1, closedAfter(time.Duration(n+1)*pace))
	}
	return reply
}

// closedAfter returns a channel that is closed after a time.
func closedAfter(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}
