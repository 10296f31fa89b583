package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"perdure/internal/page"
	"perdure/starter"
)

// stepGroup is a step, or several that went on at the same time.
type stepGroup struct {
	// ID names the group in the page.
	ID    string
	Steps []stepView
	// Took is how long the group took, or takes so far, from the begin of the first to the end of the last.
	Took time.Duration
}

// Parallel reports whether the group has more than one step.
func (g stepGroup) Parallel() bool { return len(g.Steps) > 1 }

// stepView is a step as a person reads it.
type stepView struct {
	*starter.Step
	ID    string // in the page
	Title string
	// Name is the foreign part of the title: a server, a tool, a model.
	Name string
	Tag  mark
	// Gist is a line of what the step came to. It is foreign, too.
	Gist string
	// After is how long after the beginning of the run the step began.
	After, Took time.Duration
	// Bar is where in the time of its group the step is.
	Bar bar
	// Notes are facts about attempts, in our own words but for what they quote.
	Notes []note
	// Arguments, Output and the others are what can be unfolded.
	Blocks []block
	// Folded is set for a step that has something to unfold, and Open when it is unfolded from the start.
	Folded, Open bool
}

type note struct {
	Text   string
	Quoted string // foreign
	Class  string
	// At is a moment that the note ends with, zero for none.
	At time.Time
}

// block is a text that a step got or gave.
type block struct {
	Label   string
	Content *starter.Content
	Bad     bool
	Link    string // to the whole of it; empty where it is all there
}

// bar is a stretch of time within another, in percent.
type bar struct{ X, Width string }

func newBar(start, end, from, to time.Time) bar {
	all := to.Sub(from).Seconds()
	if all <= 0 {
		return bar{"0%", "100%"}
	}
	const least = 0.6 // else it could not be seen
	x := min(100*start.Sub(from).Seconds()/all, 100-least)
	width := min(max(100*end.Sub(start).Seconds()/all, least), 100-x)
	return bar{percent(x), percent(width)}
}

func percent(x float64) string { return strconv.FormatFloat(max(x, 0), 'f', 2, 64) + "%" }

func newGroups(id string, t *starter.Timeline, created, now time.Time) []stepGroup {
	var groups []stepGroup
	for _, g := range t.Groups() {
		end := g.End
		if end.IsZero() {
			end = now
		}
		group := stepGroup{ID: "group-" + strconv.FormatInt(g.Steps[0].Event, 10), Took: end.Sub(g.Start)}
		for i := range g.Steps {
			step := &g.Steps[i]
			view := newStep(id, t.Execution, step)
			view.After, view.Took = max(step.Start.Sub(created), 0), step.Duration(now)
			view.Bar = newBar(step.Start, step.Start.Add(view.Took), g.Start, end)
			group.Steps = append(group.Steps, view)
		}
		groups = append(groups, group)
	}
	return groups
}

func newStep(id, execution string, s *starter.Step) stepView {
	v := stepView{Step: s, ID: "step-" + strconv.FormatInt(s.Event, 10), Tag: stateMark(s)}
	v.name()
	v.attempts()
	for _, b := range []block{
		{Label: "Arguments", Content: s.Arguments},
		{Label: "Reasoning", Content: s.Reasoning},
		{Label: "Text", Content: s.Text},
		{Label: outputLabel(s), Content: s.Output, Bad: s.State == starter.StepFailed},
	} {
		if b.Content == nil || (b.Content.Size == 0 && b.Content.Text == "") {
			continue
		}
		if b.Content.Cut && b.Content.Part != "" {
			b.Link = fmt.Sprintf("%s/steps/%s/%d/%s", runPath(id), execution, s.Event, b.Content.Part)
		}
		v.Blocks = append(v.Blocks, b)
	}
	v.Folded = len(v.Blocks)+len(v.Notes)+len(s.Tools)+len(s.Dropped)+len(s.Asks) > 0 || s.Usage != nil || s.Origin != "" || s.Connector != ""
	v.Open = s.State == starter.StepFailed || s.State == starter.StepRetrying || s.OutcomeUnknown
	return v
}

func outputLabel(s *starter.Step) string {
	if s.State == starter.StepFailed {
		return "Error"
	}
	return "Output"
}

// name says what the step is, and what it came to.
func (v *stepView) name() {
	switch s := v.Step; s.Kind {
	case starter.StepAccepted:
		v.Title, v.Gist = "Accepted", "waited for a worker"
		if s.UnderWay() {
			v.Title, v.Gist = "Queued", "waits for a worker"
		}
	case starter.StepContinued:
		v.Title, v.Gist = "Went on", "as a new execution: the history of the one before was full"
	case starter.StepRequest:
		v.Title, v.Gist = "Request", "is checked and made into a run"
	case starter.StepRender:
		v.Title, v.Gist = "Response", "is written for the caller"
	case starter.StepDiscovery:
		v.Title, v.Name = "Tools of", s.Server
		if s.State == starter.StepDone {
			v.Gist = counted(s.ToolCount, "tool", "tools")
		}
	case starter.StepTurn:
		v.Title, v.Name = "Model turn "+strconv.Itoa(s.Turn), s.Model
		v.Gist = turnGist(s)
	case starter.StepCall:
		v.Title, v.Name = "Call", s.Tool
		if s.Abandoned {
			v.Title = "Given up:"
		}
		if s.Arguments != nil {
			v.Gist = oneLine(s.Arguments.Text, 90)
		}
	case starter.StepApproval:
		v.Title = map[bool]string{true: "Approval given", false: "Approval denied"}[s.Approved]
		v.Name = s.ApprovalRequest
	case starter.StepWebhook:
		v.Title, v.Name, v.Gist = "Webhook", s.Endpoint, s.Tells
	case starter.StepConversation:
		v.Title, v.Gist = "Conversation", "gets the items of this run"
	case starter.StepCancellation:
		v.Title, v.Gist = "Cancellation", "somebody asked for the end of this run"
	case starter.StepTrouble:
		v.Title = "Trouble"
		if s.Count > 1 {
			v.Gist = fmt.Sprintf("%d times in a row", s.Count)
		}
	case starter.StepEnd:
		v.end()
	}
}

func (v *stepView) end() {
	v.Tag = statusMark(v.Status)
	switch {
	case v.State == starter.StepHandedOn:
		v.Title, v.Gist, v.Tag = "Goes on", "as a new execution: the history of this one was full", stateMark(v.Step)
	default:
		v.Title = "End"
		if v.Finish != "" {
			v.Gist = "because of " + v.Finish
		}
	}
}

func turnGist(s *starter.Step) string {
	switch {
	case s.State != starter.StepDone:
		return ""
	case s.Text != nil && s.Text.Text != "":
		return oneLine(s.Text.Text, 110)
	case s.Calls > 0:
		return "asked for " + counted(s.Calls, "call", "calls")
	case len(s.Asks) > 0:
		return "asked for " + s.Asks[0].Tool
	default:
		return "said nothing"
	}
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return page.Count(int64(n)) + " " + many
}

// attempts tells of those that failed, and of the next one.
func (v *stepView) attempts() {
	s := v.Step
	if s.Error != "" {
		v.Notes = append(v.Notes, note{Text: "Error:", Quoted: s.Error, Class: "bad"})
	}
	if s.Attempts > 1 && s.LastFailure != "" {
		text := fmt.Sprintf("Attempt %d failed:", s.Attempts-1)
		v.Notes = append(v.Notes, note{Text: text, Quoted: s.LastFailure, Class: "warn"})
	}
	if s.Asked > 0 {
		v.Notes = append(v.Notes, note{Text: "The other side asked to be left alone for " + page.Duration(s.Asked) + "."})
	}
	if s.Attempts > 1 && s.State != starter.StepRetrying && !s.AttemptStart.IsZero() {
		text := fmt.Sprintf("Attempt %d began %s after the first", s.Attempts, page.Duration(s.AttemptStart.Sub(s.Start)))
		if s.State == starter.StepDone {
			text += " and succeeded"
		}
		v.Notes = append(v.Notes, note{Text: text + "."})
	}
	if s.State == starter.StepRetrying && !s.NextAttempt.IsZero() {
		v.Notes = append(v.Notes, note{Text: fmt.Sprintf("Attempt %d of %s comes at", s.Attempts, most(s.MaxAttempts)), At: s.NextAttempt})
	}
	if s.OutcomeUnknown {
		v.Notes = append(v.Notes, note{
			Text: "The call may or may not have taken effect. It was not repeated, since its tool is not known to be safe to repeat.", Class: "warn",
		})
	}
	if s.Fallback > 0 {
		v.Notes = append(v.Notes, note{Text: counted(s.Fallback, "model", "models") + " failed at this turn before."})
	}
	if s.Unreadable != "" {
		v.Notes = append(v.Notes, note{Text: "Not all of this step can be shown: " + s.Unreadable + ".", Class: "warn"})
	}
}

func most(attempts int32) string {
	if attempts == 0 {
		return "any number"
	}
	return strconv.Itoa(int(attempts))
}

// AskTitle says what the model asked for.
func (stepView) AskTitle(a starter.Ask) string {
	switch {
	case a.Kind == "mcp_approval_request":
		return "Approval asked for"
	case a.Kind == "function_call":
		return "Function for the client"
	case strings.HasPrefix(a.Kind, "mcp_call"):
		return "Call that was not made"
	default:
		return "Item"
	}
}

// overview is all steps of a page over time, in as few rows as show them side by side.
type overview struct {
	Bars   []overviewBar
	Height int // px
	Length time.Duration
}

type overviewBar struct {
	bar
	Link, Text, Class string
	Y                 int
}

const (
	laneHeight = 14
	maxLanes   = 24
)

func newOverview(t *starter.Timeline, now time.Time) overview {
	var o overview
	if len(t.Steps) == 0 {
		return o
	}
	from, to := t.Steps[0].Start, t.Steps[0].Start
	for i := range t.Steps {
		if end := t.Steps[i].Start.Add(t.Steps[i].Duration(now)); end.After(to) {
			to = end
		}
	}
	o.Length = to.Sub(from)
	var free []time.Time // when each lane is free again
	for i := range t.Steps {
		s := &t.Steps[i]
		end := s.Start.Add(s.Duration(now))
		lane := 0
		for lane < len(free) && free[lane].After(s.Start) {
			lane++
		}
		if lane == len(free) && lane < maxLanes {
			free = append(free, end)
		}
		lane = min(lane, maxLanes-1)
		free[lane] = end
		v := newStep("", "", s)
		o.Bars = append(o.Bars, overviewBar{
			bar: newBar(s.Start, end, from, to), Y: lane*laneHeight + 2, Link: "#" + v.ID,
			Text:  strings.TrimSpace(v.Title+" "+page.Foreign(v.Name)) + ": " + v.Tag.Text + ", " + page.Duration(s.Duration(now)),
			Class: string(s.Kind) + " " + string(s.State),
		})
	}
	o.Height = len(free)*laneHeight + 2
	return o
}
