package starter

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

	"perdure/internal/responses"
)

// replayed folds a history that a released version has made.
func replayed(t *testing.T, file string, from int) *fold {
	t.Helper()
	data := must(os.ReadFile(filepath.Join("..", "workflows", "testdata", file)))
	var history historypb.History
	if err := (temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &history); err != nil {
		t.Fatal(err)
	}
	f := newFold(from)
	for _, e := range history.GetEvents() {
		f.add(e)
	}
	return f
}

// inWords renders steps for comparison.
func inWords(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%s %s", s.Kind, s.State)
		for _, word := range []string{s.Server, s.Tool, s.Model, s.Status, s.Error, s.Unreadable} {
			if word != "" {
				b.WriteString(" " + word)
			}
		}
		if s.ToolCount > 0 {
			fmt.Fprintf(&b, " (%d tools)", s.ToolCount)
		}
		for _, c := range []*Content{s.Arguments, s.Output, s.Reasoning, s.Text} {
			if c != nil {
				fmt.Fprintf(&b, " [%s]", oneLine(c.Text, 100))
			}
		}
		for _, a := range s.Asks {
			fmt.Fprintf(&b, " {%s %s.%s %s}", a.Kind, a.Server, a.Tool, a.Arguments.Text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestTimelineOfHistories makes timelines of runs that earlier versions have made.
func TestTimelineOfHistories(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"histories/approval_asked.json": `accepted done
			discovery done a (1 tools)
			turn done openai/gpt-5.5 {mcp_approval_request a.t {}}
			conversation done
			end done completed`,
		"histories/approval_given.json": `accepted done
			approval done
			discovery done a (1 tools)
			call done a t [{}] [ok]
			turn done openai/gpt-5.5 [done]
			conversation done
			webhook done
			end done completed`,
		"requested/answered.json": `accepted done
			request done
			discovery done a (1 tools)
			turn done openai/gpt-5.5
			call done a t [{}] [ok]
			turn done openai/gpt-5.5 [done]
			render done
			end done completed`,
		"requested/refused.json": `accepted done
			request failed must be between 0 and 2
			end failed failed must be between 0 and 2`,
		"histories/discovery_failed.json": `accepted done
			discovery failed a MCP server "a" could not be initialized (stage auth): it answered HTTP 401 Unauthorized
			end failed failed MCP server "a" could not be initialized (stage auth): it answered HTTP 401 Unauthorized`,
		"histories/function_call.json": `accepted done
			discovery done a (1 tools)
			turn done openai/gpt-5.5 {function_call .f {}}
			call done a t [{}] [ok]
			end done completed`,
		"histories/max_steps.json": `accepted done
			discovery done a (1 tools)
			turn done openai/gpt-5.5
			call done a t [{}] [ok]
			turn done openai/gpt-5.5 {mcp_call a.t {}}
			end done incomplete`,
		"histories/two_servers_parallel.json": `accepted done
			discovery done a (1 tools)
			discovery done b (1 tools)
			turn done openai/gpt-5.5 [both]
			call done b t [{}] [ok]
			call done a t [{}] [ok]
			call done a t [{}] [ok]
			turn done openai/gpt-5.5 [done]
			end done completed`,
		"histories/continued.json": `accepted done
			discovery done a (1 tools)
			turn done openai/gpt-5.5
			call done a t [{}] [ok]
			end handed on in_progress`,
		"carried/done.json": `continued done
			turn done openai/gpt-5.5 [done]
			end done completed`,
	}
	o, _ := newOptions(t)
	s := newStarter(t.Context(), t.Context(), o)
	for file, want := range want {
		f := replayed(t, file, 0)
		steps, from, total := f.page()
		s.fill(t.Context(), "resp_x", steps)
		if got := strings.TrimSpace(inWords(steps)); got != strings.ReplaceAll(want, "\t", "") {
			t.Errorf("%s: got\n%s", file, got)
		}
		if from != 0 || total != len(steps) {
			t.Errorf("%s: %d steps from %d of %d", file, len(steps), from, total)
		}
		for _, step := range steps {
			if step.UnderWay() || step.End.Before(step.Start) {
				t.Errorf("%s: the step %+v has no end", file, step)
			}
		}
	}
}

// Calls that went on at the same time are one group, and nothing else is in it.
func TestGroupsOfHistory(t *testing.T) {
	t.Parallel()
	f := replayed(t, "histories/two_servers_parallel.json", 0)
	steps, _, _ := f.page()
	var sizes []int
	for _, g := range (&Timeline{Steps: steps}).Groups() {
		sizes = append(sizes, len(g.Steps))
	}
	if want := []int{1, 2, 1, 3, 1, 1}; !slices.Equal(sizes, want) {
		t.Errorf("groups of %v, want %v", sizes, want)
	}
}

// Any page of a history is the same part of it, and what other steps carry is not kept.
func TestPagesOfHistory(t *testing.T) {
	t.Parallel()
	all, _, _ := replayed(t, "histories/two_servers_parallel.json", 0).page()
	for from := range all {
		f := replayed(t, "histories/two_servers_parallel.json", from)
		steps, at, total := f.page()
		if at != from || total != len(all) || len(steps) != len(all)-from {
			t.Errorf("page from %d: %d steps from %d of %d", from, len(steps), at, total)
		}
		for i := range f.steps {
			if kept := f.steps[i].raw.result != nil; kept && i < from {
				t.Errorf("page from %d: what step %d carries was kept", from, i)
			}
		}
	}
	if steps, at, _ := replayed(t, "histories/two_servers_parallel.json", 1000).page(); len(steps) != 0 || at != len(all) {
		t.Errorf("a page after the last: %d steps from %d", len(steps), at)
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", shownBytes)
	nested := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	for name, tt := range map[string]struct {
		text, shown string
		json, cut   bool
	}{
		"text":     {"hello {", "hello {", false, false},
		"json":     {`{"a":[1,"<b>"]}`, "{\n  \"a\": [\n    1,\n    \"<b>\"\n  ]\n}", true, false},
		"half":     {`{"a":`, `{"a":`, false, false},
		"long":     {long, long[:shownBytes], false, true},
		"odd long": {"x" + long, ("x" + long)[:shownBytes-1], false, true},
		"deep":     {nested, nested[:shownBytes], true, true}, // laid out, it would take 160 MB
		"quoted":   {`["\"[[[["]`, "[\n  \"\\\"[[[[\"\n]", true, false},
	} {
		c := newContent("", tt.text)
		if c.Text != tt.shown || c.JSON != tt.json || c.Cut != tt.cut || c.Size != len(tt.text) {
			t.Errorf("%s: got %d bytes, JSON %v, cut %v, of %d", name, len(c.Text), c.JSON, c.Cut, c.Size)
		}
	}
}

func TestTitles(t *testing.T) {
	t.Parallel()
	ask := func(role, text string) responses.Item {
		return &responses.Message{Role: role, Content: []responses.Part{{Type: responses.PartInputText, Text: text}}}
	}
	for _, tt := range []struct {
		items []responses.Item
		want  string
	}{
		{nil, ""},
		{[]responses.Item{ask("user", "  what \n is\tit? ")}, "what is it?"},
		{[]responses.Item{ask("user", "first"), ask("assistant", "no"), ask("user", "second"), ask("developer", "hidden")}, "second"},
		{[]responses.Item{ask("user", strings.Repeat("漢", 1000))}, strings.Repeat("漢", titleLength) + "…"},
	} {
		if got := titleOf(tt.items); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
