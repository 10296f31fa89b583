package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"perdure/internal/apiclient"
	"perdure/internal/responses"
	"perdure/internal/terminal"
)

// shownText bounds what is shown of a tool's arguments and answer where no terminal has a width, in columns.
const shownText = 200

// runView shows a run while it goes on: what the model says on out, everything else on err.
//
// On a terminal the text comes as it is made. Elsewhere a program reads it, and gets each message when it is whole: a model that breaks off
// begins again, and what it has said until then is not part of the answer.
type runView struct {
	out, err terminal.Out
	quiet    bool // nothing on err
	silent   bool // nothing on out
	resumed  bool // the beginning is not shown: it is known already

	live    *terminal.Live
	open    map[string]*openItem // what is under way
	order   []string             // their IDs, the oldest first
	said    map[string]string    // what of messages was written, by ID
	whole   map[string]bool      // the messages that are written to their end
	cleaner terminal.Cleaner
	// Which stream has left the cursor of its terminal within a line: out with the answer, err with thoughts. At most one has.
	outMid, errMid bool
	begun          time.Time
}

// openItem is an item that is not done.
type openItem struct {
	apiclient.Item
	began time.Time
}

func newRunView(s *session, quiet bool) *runView {
	return &runView{
		out: s.out, err: s.err, quiet: quiet, silent: s.json, live: terminal.NewLive(s.err),
		open: map[string]*openItem{}, said: map[string]string{}, whole: map[string]bool{}, begun: time.Now(),
	}
}

// runEvent is what the view reads of an event.
type runEvent struct {
	ItemID    string          `json:"item_id"`
	Delta     string          `json:"delta"`
	Arguments string          `json:"arguments"`
	Item      *apiclient.Item `json:"item"`
	Response  json.RawMessage `json:"response"`
}

// add shows an event. It returns the response with which the run has ended, nil before.
func (v *runView) add(e apiclient.Event) (*apiclient.Response, error) {
	var in runEvent
	if err := json.Unmarshal(e.Data, &in); err != nil {
		return nil, fmt.Errorf("the event %d cannot be read: %w", e.Sequence, err)
	}
	switch e.Type {
	case "response.output_item.added":
		if in.Item != nil {
			v.begin(*in.Item)
		}
	case "response.mcp_call_arguments.done":
		if item := v.open[in.ItemID]; item != nil {
			item.Arguments = in.Arguments
		}
	case "response.output_text.delta", "response.refusal.delta":
		return nil, v.say(in.ItemID, in.Delta)
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		v.think(in.Delta)
	case "response.output_item.done":
		if in.Item != nil {
			return nil, v.done(*in.Item)
		}
	case "response.completed", "response.failed", "response.incomplete":
		r, err := apiclient.ReadResponse(in.Response)
		return &r, err
	}
	return nil, nil
}

func (v *runView) begin(item apiclient.Item) {
	if _, again := v.open[item.ID]; !again {
		v.order = append(v.order, item.ID)
	}
	v.open[item.ID] = &openItem{item, time.Now()}
	v.tick()
}

// tick shows what is under way and for how long.
func (v *runView) tick() {
	if v.quiet || v.outMid || v.errMid || !v.err.Redraw {
		return
	}
	var lines []string
	width := v.err.Width() - 1
	for _, id := range v.order {
		item := v.open[id]
		if what := underWay(item.Item); what != "" {
			line := fmt.Sprintf("… %s (%s)", what, took(time.Since(item.began)))
			lines = append(lines, v.err.Paint(terminal.Faint, terminal.Cut(line, width)))
		}
	}
	const most = 8
	if n := len(lines) - most; n > 0 {
		lines = append(lines[:most], v.err.Paint(terminal.Faint, fmt.Sprintf("… and %d more", n)))
	}
	v.live.Show(lines...)
}

func underWay(item apiclient.Item) string {
	switch item.Type {
	case string(responses.TypeMCPListTools):
		return "listing the tools of " + terminal.Line(item.ServerLabel, shownText)
	case string(responses.TypeMCPCall):
		return callLine(item)
	case string(responses.TypeReasoning):
		return "thinking"
	default:
		return ""
	}
}

// callLine shows a call as far as it fits into a line.
func callLine(item apiclient.Item) string {
	return strings.TrimSpace(terminal.Cut(callName(item), shownText) + " " + terminal.Line(item.Arguments, shownText))
}

func callName(item apiclient.Item) string { return terminal.Line(item.ServerLabel+"."+item.Name, 0) }

// say writes a piece of the answer, where somebody watches it come.
func (v *runView) say(id, text string) error {
	if v.silent || !v.out.Terminal {
		return nil
	}
	v.live.Clear()
	v.said[id] += text
	text = v.cleaner.Add(text)
	if text == "" {
		return nil
	}
	v.endThought()
	v.outMid = !strings.HasSuffix(text, "\n")
	_, err := io.WriteString(v.out, text)
	return err
}

// think writes a piece of the model's thoughts.
func (v *runView) think(text string) {
	if v.quiet || !v.err.Terminal {
		return
	}
	v.live.Clear()
	text = terminal.Clean(text)
	if text != "" {
		if v.outMid {
			v.startLine()
		}
		v.errMid = !strings.HasSuffix(text, "\n")
		_, _ = io.WriteString(v.err, v.err.Paint(terminal.Faint, text))
	}
}

func (v *runView) done(item apiclient.Item) error {
	began := v.begun
	if was := v.open[item.ID]; was != nil {
		began = was.began
		delete(v.open, item.ID)
		v.order = without(v.order, item.ID)
	}
	switch item.Type {
	case string(responses.TypeMessage):
		if item.Status == responses.StatusIncomplete {
			v.broken(item)
			return nil
		}
		return v.write(item)
	case string(responses.TypeReasoning):
		v.thought(item)
	case string(responses.TypeMCPListTools):
		v.listed(item)
	case string(responses.TypeMCPCall):
		v.called(item, time.Since(began))
	case string(responses.TypeFunctionCall):
		v.line(v.err.Paint(terminal.Yellow, "•") + " the model asks this client to run a function: " + terminal.Line(item.Name+" "+item.Arguments, shownText))
	}
	v.tick()
	return nil
}

func without(ids []string, id string) []string {
	var kept []string
	for _, other := range ids {
		if other != id {
			kept = append(kept, other)
		}
	}
	return kept
}

// broken tells of a message that the model broke off: it begins again, with another. A message may also be incomplete because it was cut at
// its end; it is then in the response, and written with that.
func (v *runView) broken(item apiclient.Item) {
	if v.said[item.ID] != "" {
		v.line(v.err.Paint(terminal.Yellow, "•") + " the answer broke off here")
	}
}

// write completes what was written of a message.
func (v *runView) write(item apiclient.Item) error {
	text := item.Text()
	if v.silent || text == "" || v.whole[item.ID] && v.said[item.ID] == text {
		return nil
	}
	rest, ok := strings.CutPrefix(text, v.said[item.ID])
	switch {
	case ok:
	case v.resumed && strings.HasSuffix(text, v.said[item.ID]):
		rest = ""
	default:
		rest = text
		if err := v.endLine(); err != nil {
			return err
		}
	}
	v.said[item.ID], v.whole[item.ID] = text, true
	v.live.Clear()
	if v.out.Terminal {
		rest = terminal.Clean(rest)
	}
	if !strings.HasSuffix(text, "\n") {
		rest += "\n"
	}
	v.endThought()
	v.outMid = false
	_, err := io.WriteString(v.out, rest)
	return err
}

// endLine ends the line of a text that was left in the middle, on the stream that it is on.
func (v *runView) endLine() error {
	v.endThought()
	if !v.outMid {
		return nil
	}
	v.outMid = false
	_, err := io.WriteString(v.out, "\n")
	return err
}

func (v *runView) endThought() {
	if v.errMid {
		v.startLine()
	}
}

// startLine puts the cursor of the terminal that shows err, and out if that is one, at the start of a line.
func (v *runView) startLine() {
	if (v.outMid || v.errMid) && v.err.Terminal {
		v.outMid, v.errMid = false, false
		fmt.Fprintln(v.err)
	}
}

// line writes a line about the run.
func (v *runView) line(text string) {
	if v.quiet {
		return
	}
	v.live.Clear()
	v.startLine()
	fmt.Fprintln(v.err, text)
}

// width is how much of a line may be filled.
func (v *runView) width() int {
	if v.err.Terminal {
		return v.err.Width() - 1
	}
	return shownText
}

func (v *runView) thought(item apiclient.Item) {
	if v.err.Terminal {
		v.startLine()
		return
	}
	var text string
	for _, part := range append(item.Summary, item.Content...) {
		text += part.Text + " "
	}
	if text = terminal.Line(text, v.width()); text != "" {
		v.line("• thinks: " + text)
	}
}

func (v *runView) listed(item apiclient.Item) {
	label := terminal.Line(item.ServerLabel, shownText)
	if item.Error != nil {
		v.line(v.err.Paint(terminal.Red, "✗") + " " + label + ": " + terminal.Line(*item.Error, v.width()))
		return
	}
	v.line(v.err.Paint(terminal.Green, "✓") + " " + label + ": " + count(len(item.Tools), "tool"))
}

func (v *runView) called(item apiclient.Item, duration time.Duration) {
	mark, answer := v.err.Paint(terminal.Green, "✓"), ""
	if item.Output != nil {
		answer = *item.Output
	}
	switch {
	case item.Error != nil:
		mark, answer = v.err.Paint(terminal.Red, "✗"), *item.Error
	case item.Status == responses.StatusIncomplete:
		mark, answer = v.err.Paint(terminal.Yellow, "•"), "given up"
	}
	const indent = 4
	suffix := ""
	if duration >= 0 {
		suffix = " (" + took(duration) + ")"
	}
	v.line(mark + " " + terminal.Cut(callLine(item), v.width()-2-len(suffix)) + v.err.Paint(terminal.Faint, suffix))
	if answer = terminal.Line(answer, v.width()-indent); answer != "" {
		v.line(strings.Repeat(" ", indent) + v.err.Paint(terminal.Faint, answer))
	}
}

// end writes what is missing of the answer and says how the run has ended. What was written, and is not part of it, is told of.
func (v *runView) end(r apiclient.Response) error {
	v.live.Clear()
	v.open, v.order = map[string]*openItem{}, nil
	counts := map[string]bool{}
	for _, item := range r.Output {
		counts[item.ID] = true
		if item.Type != string(responses.TypeMessage) {
			continue
		}
		if err := v.write(item); err != nil {
			return err
		}
	}
	if err := v.endLine(); err != nil {
		return err
	}
	for id, text := range v.said {
		if text != "" && !counts[id] {
			v.line("• a part of the text above was replaced by what follows it")
			break
		}
	}
	return nil
}

// skip counts the messages of a response as written, but for those that are not written to their end.
func (v *runView) skip(r apiclient.Response) {
	for _, item := range r.Output {
		if _, begun := v.said[item.ID]; !begun {
			v.said[item.ID], v.whole[item.ID] = item.Text(), true
		}
	}
}

// summary says how a run has ended and what it took.
func (v *runView) summary(r apiclient.Response) { v.outcome(r, time.Since(v.begun)) }

// outcome says what a run has come to. A duration below 0 is not known.
func (v *runView) outcome(r apiclient.Response, duration time.Duration) {
	status := v.err.Paint(statusStyle(r.Status), r.Status)
	if duration >= 0 {
		status += " in " + took(duration)
	}
	parts := []string{status}
	if n := len(calls(r)); n > 0 {
		parts = append(parts, count(n, "tool call"))
	}
	if u := r.Usage; u != nil {
		parts = append(parts, fmt.Sprintf("%s tokens in, %s out", grouped(u.InputTokens), grouped(u.OutputTokens)))
	}
	v.line(strings.Join(append(parts, r.ID), v.err.Paint(terminal.Faint, " · ")))
}

func calls(r apiclient.Response) []apiclient.Item {
	var out []apiclient.Item
	for _, item := range r.Output {
		if item.Type == string(responses.TypeMCPCall) {
			out = append(out, item)
		}
	}
	return out
}

func statusStyle(status string) terminal.Style {
	switch status {
	case responses.ResponseCompleted:
		return terminal.Green
	case responses.ResponseFailed:
		return terminal.Red
	case responses.ResponseIncomplete, responses.ResponseCancelled:
		return terminal.Yellow
	default:
		return terminal.Cyan
	}
}
