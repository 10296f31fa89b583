package activities_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// A provider that does not take a turn costs nothing, and is asked as long as there are attempts; failing at a turn that it has taken
// costs, and is counted apart, also over the times when it is away.
func TestTurnsThatCostAreCounted(t *testing.T) {
	t.Parallel()
	away := modeltest.Status(http.StatusServiceUnavailable, http.Header{"Retry-After-Ms": {"1"}}, `{"error":{"message":"overloaded"}}`)
	busy := modeltest.Status(http.StatusTooManyRequests, http.Header{"Retry-After-Ms": {"1"}}, `{"error":{"message":"slowly"}}`)
	broken := modeltest.Truncated(2)
	tests := []struct {
		name    string
		script  []modeltest.Reply
		failure string // of the turn; none if it succeeds
	}{
		{"away, and back", []modeltest.Reply{away, busy, away, busy, away, modeltest.Text("done")}, ""},
		{"failing, and then well", []modeltest.Reply{broken, away, away, away, modeltest.Text("done")}, ""},
		{"failing for good", []modeltest.Reply{broken, away, away, broken}, "broke off"},
		{"away for good", []modeltest.Reply{away, away, away, away, away, away, away, away, away, away}, "overloaded"},
		{"nothing to say, twice", []modeltest.Reply{modeltest.Empty(), away, modeltest.Empty()}, "empty answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := closed(t, modeltest.New(tt.script...))
			f := setup(t, m.URL(), beatsOften) // beats must not bring an older count back
			in := f.turnInput(activities.Settings{})
			in.Attempts = 2
			got, err := onServer[activities.ModelTurnResult](f, func(ctx workflow.Context) workflow.Future {
				return workflow.ExecuteActivity(ctx, activities.ModelTurnName, in)
			})
			if tt.failure == "" {
				if err != nil || len(got.Items) != 1 {
					t.Errorf("%d items, error %v", len(got.Items), err)
				}
				return
			}
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != activities.ErrTypeModel || !strings.Contains(app.Message(), tt.failure) {
				t.Errorf("error %v, want %q", err, tt.failure)
			}
		})
	}
}

// Answers that are lost of a call that may be repeated are counted apart from times at which the server is away.
func TestLostAnswersAreCounted(t *testing.T) {
	t.Parallel()
	ok := mcptest.Result(`{"content":[{"type":"text","text":"done"}]}`)
	away, lost := mcptest.Status(http.StatusServiceUnavailable), mcptest.Status(http.StatusBadGateway)
	tests := []struct {
		name    string
		answers []mcptest.Answer
		failure string
	}{
		{"away, and back", []mcptest.Answer{away, away, away, away, away, ok}, ""},
		{"lost once", []mcptest.Answer{away, lost, away, away, ok}, ""},
		{"lost twice", []mcptest.Answer{away, lost, away, lost}, "HTTP 502"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere, beatsOften)
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", mcptest.InTurn(tt.answers...))
			in := f.callInput(f.server("s", server.URL()), true)
			in.Attempts, in.Lost = 10, 2
			got, err := onServer[activities.MCPCallResult](f, callOnServer(in))
			if err != nil {
				t.Fatal(err)
			}
			item := f.item(got)
			if failed := item.Error != nil; failed != (tt.failure != "") || failed && !strings.Contains(*item.Error, tt.failure) {
				t.Errorf("item %+v, want %q", item, tt.failure)
			}
			if n := server.Count("tools/call"); n != len(tt.answers) {
				t.Errorf("%d calls were sent, want %d", n, len(tt.answers))
			}
		})
	}
}
