package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// shape is how a client asks for responses and gets them.
type shape string

const (
	// shapeWait waits for the answer. A request that got none is sent again, with its key.
	shapeWait shape = "sync"
	// shapeStream reads the events. Where it is cut off, it goes on at any starter.
	shapeStream shape = "stream, resumed"
	// shapeAgain reads the events. When it is cut off, it sends its request again, and must see the same once more.
	shapeAgain shape = "stream, sent again"
	// shapePoll asks for a background run and polls it.
	shapePoll shape = "background, polled"
	// shapeFollow asks for a background run and reads its events like shapeStream.
	shapeFollow shape = "background, stream"
	// shapeChain makes several requests, each of which names the response before.
	shapeChain shape = "previous_response_id"
	// shapeConversation makes several requests of one conversation.
	shapeConversation shape = "conversation"
)

// shapes has each shape as often as it is wanted.
var shapes = []shape{
	shapeWait, shapeStream, shapeStream, shapeAgain, shapePoll, shapeFollow, shapeFollow, shapeChain, shapeConversation,
}

const (
	lookTool = "look" // read-only
	putTool  = "put"  // idempotent
	bookTool = "book" // a write
)

// plannedCall is a call that a model makes. Its ID is its argument, and no other call has the same.
type plannedCall struct {
	id     string
	server string // its label
	tool   string
	takes  time.Duration
}

func (c plannedCall) arguments() string { return `{"id":"` + c.id + `"}` }
func (c plannedCall) output() string    { return c.tool + " " + c.id }

// plannedTurn is what a model says before it says its last words.
type plannedTurn struct {
	text  string
	calls []plannedCall
}

// plannedRun is a run as it must go.
type plannedRun struct {
	number int
	shape  shape
	turns  []plannedTurn
	text   string        // the last words
	pace   time.Duration // between two pieces of a text
	leaves []int         // after how many events its client leaves and comes back
	before []int         // the runs that it goes on with, by number
}

func (p *plannedRun) prompt() string { return fmt.Sprint("run ", p.number) }

// prompts is what a model is asked in the run and in those before it.
func (p *plannedRun) prompts() []string {
	var prompts []string
	for _, number := range append(slices.Clone(p.before), p.number) {
		prompts = append(prompts, fmt.Sprint("run ", number))
	}
	return prompts
}

func (p *plannedRun) calls() []plannedCall {
	var calls []plannedCall
	for _, turn := range p.turns {
		calls = append(calls, turn.calls...)
	}
	return calls
}

// planTasks makes tasks, each of which is the work of one client, with so many runs in all.
func planTasks(r *rand.Rand, runs int) [][]*plannedRun {
	var tasks [][]*plannedRun
	for number := 0; number < runs; {
		s := shapes[len(tasks)%len(shapes)]
		size := 1
		if s == shapeChain || s == shapeConversation {
			size = min(3, runs-number)
		}
		var task []*plannedRun
		var before []int
		for range size {
			run := planRun(r, number, s)
			run.before = slices.Clone(before)
			task, before = append(task, run), append(before, number)
			number++
		}
		tasks = append(tasks, task)
	}
	// Shapes come in any order, but a small number of runs has all of them.
	r.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
	return tasks
}

func planRun(r *rand.Rand, number int, s shape) *plannedRun {
	p := &plannedRun{number: number, shape: s, pace: between(r, 15, 60)}
	for turn := range 1 + r.IntN(3) {
		planned := plannedTurn{}
		if r.IntN(2) == 0 {
			planned.text = manyPieces("think", 2+r.IntN(10))
		}
		for call := range 1 + r.IntN(4) {
			planned.calls = append(planned.calls, plannedCall{
				id:     fmt.Sprintf("r%d-t%d-c%d", number, turn, call),
				server: []string{"a", "b"}[r.IntN(2)],
				tool:   []string{lookTool, putTool, bookTool, bookTool}[r.IntN(4)],
				takes:  between(r, 0, 500),
			})
		}
		p.turns = append(p.turns, planned)
	}
	p.text = manyPieces("said", 5+r.IntN(40))
	for range r.IntN(3) {
		p.leaves = append(p.leaves, 1+r.IntN(60))
	}
	slices.Sort(p.leaves)
	return p
}

// between is a number of milliseconds.
func between(r *rand.Rand, low, high int) time.Duration {
	return time.Duration(low+r.IntN(high-low)) * time.Millisecond
}

// body is the request for a run that goes on with what the members say.
func (p *plannedRun) body(servers map[string]string, members ...string) string {
	all := append([]string{`"input": "` + p.prompt() + `"`, `"model": "openai/gpt-5.5"`}, members...)
	switch p.shape {
	case shapeStream, shapeAgain:
		all = append(all, `"stream": true`)
	case shapePoll:
		all = append(all, `"background": true`)
	case shapeFollow:
		all = append(all, `"background": true`, `"stream": true`)
	}
	var tools []string
	for _, label := range []string{"a", "b"} {
		tools = append(tools, fmt.Sprintf(`{"type": "mcp", "server_label": "%s", "server_url": "%s"}`, label, servers[label]))
	}
	return "{" + strings.Join(append(all, `"tools": [`+strings.Join(tools, ", ")+"]"), ", ") + "}"
}
