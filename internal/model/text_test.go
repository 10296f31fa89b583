package model

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/responses"
)

// What is shortened before a turn is shown to the model as it would have been.
func TestShortenedItemsAreShownTheSame(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 300_000)
	short := "brief"
	items := func() []responses.Item {
		return []responses.Item{
			&responses.MCPCall{ID: "a", ServerLabel: "s", Name: "t", Arguments: "{}", Output: long},
			&responses.MCPCall{ID: "b", ServerLabel: "s", Name: "t", Arguments: "{}", Error: &long},
			&responses.MCPCall{ID: "c", ServerLabel: "s", Name: "t", Arguments: "{}", Output: short},
			&responses.MCPCall{ID: "d", ServerLabel: "s", Name: "t", Arguments: "{}", Error: &short},
			&responses.MCPCall{ID: "e", ServerLabel: "s", Name: "t", Arguments: "{}", Output: "x" + cutBegins + "1 of 2 bytes" + cutEnds},
			&responses.Message{Role: responses.RoleUser, Content: []responses.Part{responses.InputText(long)}},
		}
	}
	for _, limit := range []int{101, 1000, 100_000} {
		shortened := items()
		for _, item := range shortened {
			Shorten(item, limit)
		}
		if n := len(shortened[0].(*responses.MCPCall).Output); n > limit+cutBytes {
			t.Errorf("the output has still %d bytes", n)
		}
		if n := len(*shortened[1].(*responses.MCPCall).Error); n > limit+cutBytes {
			t.Errorf("the error has still %d bytes", n)
		}
		shown := func(items []responses.Item) []string {
			var out []string
			for _, m := range newMessages(Turn{Items: items, Names: NewNames(nil, nil), MaxToolOutput: limit}, Quirks{}) {
				if text, ok := m.Content.(string); ok {
					out = append(out, text)
				}
			}
			return out
		}
		want, got := shown(items()), shown(shortened)
		// A failure is cut with the words before it, so that a few bytes more of it are seen.
		want[1], got[1] = want[1][:limit-4], got[1][:limit-4]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%.1000s", limit, diff)
		}
	}
}
