package stream_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"perdure/internal/events"
	"perdure/internal/responses"
	"perdure/internal/stream"
)

// script is a run that rand made up: what happened, in order, and the output that it came to.
type script struct {
	*rand.Rand
	log     []events.Event
	zombies []events.Event // of attempts that were given up, to be told late
	output  []responses.Item
	turn    int
	// parts: of a message, more than the first part is told before the turn is done. If the first is then lost, the message has to
	// be begun again, which is not for clients that want fresh indexes.
	parts bool
	lose  float64 // how much of the log is lost
}

var texts = []string{"", "a", "Hello", " wörld\n", "\"quoted\" \\ <tag>&", "\u2028日本語 😀", "\x00\t\r\x1f\x7f"}

func (s *script) text() string {
	var text string
	for range s.IntN(5) {
		text += texts[s.IntN(len(texts))]
	}
	return text
}

func (s *script) id(t responses.ItemType, n, try int) string {
	return fmt.Sprintf("%s_%d_%d_%d", t, n, s.turn, try)
}

func (s *script) lists() {
	var logs [][]events.Event
	for n := range s.IntN(4) {
		l := list(s.id(responses.TypeMCPListTools, n, 1), "wiki")
		s.output = append(s.output, l)
		tell := []events.Event{listStarted(n, l), listDone(n, l)}
		if s.IntN(3) == 0 {
			tell = slices.Insert(tell, 1, listStarted(n, l))
		}
		logs = append(logs, tell)
	}
	s.interleave(logs)
}

func (s *script) approved() {
	var logs [][]events.Event
	for range s.IntN(3) {
		n := len(s.output)
		call := s.call(s.id(responses.TypeMCPCall, n, 1))
		call.ApprovalRequestID = "mcpr_0_1"
		s.output = append(s.output, call)
		logs = append(logs, []events.Event{
			{Kind: events.CallStarted, Index: n, ItemID: call.ID, Call: callOf(unanswered(call))}, callDone(n, call),
		})
	}
	s.interleave(logs)
}

// interleave tells of what happened at the same time.
func (s *script) interleave(logs [][]events.Event) {
	for len(logs) > 0 {
		i := s.IntN(len(logs))
		s.log = append(s.log, logs[i][0])
		if logs[i] = logs[i][1:]; len(logs[i]) == 0 {
			logs = slices.Delete(logs, i, i+1)
		}
	}
}

func (s *script) call(id string) *responses.MCPCall {
	if s.IntN(3) == 0 {
		return failedCall(id, "no: "+s.text())
	}
	return called(id, "yes: "+s.text())
}

// answer makes up what the model says in one attempt at a turn, with the events that tell of it.
func (s *script) answer(try int) (items []responses.Item, log []events.Event) {
	from := len(s.output)
	id := func(t responses.ItemType) string { return s.id(t, from+len(items), try) }
	for range s.IntN(3) {
		item := reasoning(id(responses.TypeReasoning), "hm "+s.text())
		log = append(log, s.deltas(try, from+len(items), item.ID, events.PartReasoning, item.Summary[0].Text)...)
		items = append(items, item)
	}
	if s.IntN(3) > 0 {
		item := message(id(responses.TypeMessage))
		for _, kind := range [][]string{{"text"}, {"refusal"}, {"text", "refusal"}, {"refusal", "text"}}[s.IntN(4)] {
			part := responses.OutputText("so " + s.text())
			if kind == "refusal" {
				part = refusal("no " + s.text())
			}
			if s.parts || len(item.Content) == 0 {
				log = append(log, s.deltas(try, from+len(items), item.ID, kind, part.Text)...)
			}
			item.Content = append(item.Content, part)
		}
		items = append(items, item)
	}
	for range s.IntN(4) {
		switch s.IntN(4) {
		case 0:
			items = append(items, failedCall(id(responses.TypeMCPCall), "not called"))
		case 1:
			items = append(items, &responses.MCPApprovalRequest{
				ID: id(responses.TypeMCPApprovalRequest), ServerLabel: "wiki", Name: "search", Arguments: "{}",
			})
		default:
			items = append(items, s.call(id(responses.TypeMCPCall)))
		}
	}
	for range s.IntN(3) {
		items = append(items, function(id(responses.TypeFunctionCall), "{"+s.text()+"}"))
	}
	if len(items) == 0 {
		items = append(items, message(id(responses.TypeMessage)))
	}
	return items, log
}

func (s *script) deltas(try, at int, id, kind, text string) []events.Event {
	log := []events.Event{delta(s.turn, try, at, id, kind, 0, "")}
	for from := 0; from < len(text); {
		to := from + 1 + s.IntN(len(text)-from)
		for to < len(text) && !utf8.RuneStart(text[to]) {
			to++
		}
		log = append(log, delta(s.turn, try, at, id, kind, from, text[from:to]))
		from = to
	}
	if len(log) > 1 && s.IntN(2) == 0 {
		return log[1:]
	}
	return log
}

func (s *script) modelTurn() {
	s.turn++
	from := len(s.output)
	tries := 1 + s.IntN(3)
	for try := 1; try < tries; try++ {
		items, log := s.answer(try)
		log = append([]events.Event{turnStarted(s.turn, try, from)}, log...)
		if s.IntN(2) == 0 {
			// The turn was done, but Temporal did not hear of it.
			log = append(log, turnDone(s.turn, try, from, begun(items)...))
		}
		cut := s.IntN(len(log) + 1)
		s.log = append(s.log, log[:cut]...)
		s.zombies = append(s.zombies, log[cut:]...)
	}
	items, log := s.answer(tries)
	s.log = append(s.log, turnStarted(s.turn, tries, from))
	s.log = append(s.log, log...)
	s.log = append(s.log, turnDone(s.turn, tries, from, begun(items)...))
	var calls []events.Event
	for i, item := range items {
		if call, ok := item.(*responses.MCPCall); ok && slot(unanswered(call)).Call != nil && !isRefused(call) {
			calls = append(calls, callDone(from+i, call))
			if s.IntN(4) == 0 {
				// It was made before, and Temporal did not hear of what it came to.
				s.log = append(s.log, callDone(from+i, called(call.ID, "first: "+s.text())))
			}
		}
	}
	s.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	s.log = append(s.log, calls...)
	s.output = append(s.output, items...)
}

func isRefused(call *responses.MCPCall) bool { return call.Error != nil && *call.Error == "not called" }

// begun are a turn's items as its end tells of them.
func begun(items []responses.Item) []responses.Item {
	items = slices.Clone(items)
	for i, item := range items {
		if call, ok := item.(*responses.MCPCall); ok && !isRefused(call) {
			items[i] = unanswered(call)
		}
	}
	return items
}

// spoil loses some of the log, tells some twice, and lets attempts that were given up go on.
func (s *script) spoil() {
	s.lose = []float64{0, 0, 0.05, 0.3, 0.8}[s.IntN(5)]
	twice := []float64{0, 0.1}[s.IntN(2)]
	at := 0
	for _, z := range s.zombies {
		// Not before the attempt that took its place has begun: until then it is a live one.
		first := slices.IndexFunc(s.log, func(e events.Event) bool {
			return e.Turn > z.Turn || (e.Turn == z.Turn && e.Try > z.Try)
		})
		at = max(at, first+1)
		at += s.IntN(len(s.log) - at + 1)
		s.log = slices.Insert(s.log, at, z)
	}
	var log []events.Event
	for _, e := range s.log {
		if s.Float64() < s.lose {
			continue
		}
		log = append(log, e)
		if s.Float64() < twice {
			log = append(log, e)
		}
	}
	s.log = log
}

func newScript(seed uint64, approvals, parts bool) *script {
	s := &script{Rand: rand.New(rand.NewPCG(seed, 1)), parts: parts}
	s.lists()
	if approvals {
		s.approved()
	}
	for range s.IntN(5) {
		s.modelTurn()
	}
	s.spoil()
	return s
}

// TestAnyLog: whatever a log has lost and whatever is in it that does not count, the stream says what the response says, in a way
// that a strict client takes, and each time the same.
func TestAnyLog(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1500) {
		checkLog(t, seed)
	}
}

func checkLog(t *testing.T, seed uint64) {
	t.Helper()
	o := options([]responses.Dialect{responses.DialectAgent, responses.DialectOpenAI}[seed%2])
	o.FreshIndexes = seed/2%2 == 1
	o.Response.Background = seed/4%2 == 1
	s := newScript(seed, o.Dialect == responses.DialectOpenAI, !o.FreshIndexes)
	status := []string{
		responses.ResponseCompleted, responses.ResponseIncomplete, responses.ResponseFailed, responses.ResponseCancelled,
	}[s.IntN(4)]
	output := s.output
	if status == responses.ResponseFailed || status == responses.ResponseCancelled {
		// Work that was not finished is not in the output.
		output = output[:s.IntN(len(output)+1)]
		s.log = s.log[:s.IntN(len(s.log)+1)]
	}
	s.log = append(s.log, events.Event{Kind: events.Ended}, turnStarted(99, 1, 0),
		delta(99, 1, 0, "msg_late", events.PartText, 0, "late"))
	end := final(o, status, output...)
	got := render(t, o, s.log, end)
	c := client{fresh: o.FreshIndexes, lossy: s.lose > 0}
	if err := c.accumulate(got); err != nil {
		t.Fatalf("seed %d: %v%s", seed, err, shown(got))
	}
	if again := render(t, o, s.log, end); !slices.EqualFunc(got, again, sameEvent) {
		t.Fatalf("seed %d: rendered twice, the streams differ", seed)
	}
}

func sameEvent(a, b stream.Event) bool {
	return a.Sequence == b.Sequence && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
}

func shown(log []stream.Event) string {
	var b bytes.Buffer
	for _, e := range log {
		b.WriteByte('\n')
		b.Write(e.Data)
	}
	return b.String()
}
