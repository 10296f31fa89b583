package e2e

import (
	"net/http"
	"testing"

	"perdure/internal/modeltest"
)

// TestTenants: a response of another organization does not exist.
func TestTenants(t *testing.T) {
	t.Parallel()
	s := sharedStack(t)
	mine := ownRuns(t)
	release := make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.Last().Content == "hold" {
			return modeltest.Text("held").HoldAfter(1, release)
		}
		return modeltest.Text("done")
	})
	ask(t, model, `"input": "x"`)
	done := s.create(t, askAgain(t, `"input": "x"`)).ID
	held := s.create(t, askAgain(t, `"input": "hold", "background": true`)).ID
	s.awaitListed(t, mine, 2)
	stranger := func(method, path, body string) answer {
		a, err := send(t.Context(), method, s.url+"/v1"+path, otherKey, body)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, id := range []string{done, held} {
		for path, methods := range map[string][]string{
			"": {http.MethodGet, http.MethodDelete}, "?stream=true": {http.MethodGet}, "?stream=true&starting_after=0": {http.MethodGet},
			"/input_items": {http.MethodGet}, "/cancel": {http.MethodPost},
		} {
			for _, method := range methods {
				for _, base := range []string{"/responses/", "/agent/"} {
					refused(t, stranger(method, base+id+path, ""), http.StatusNotFound, "not found")
				}
			}
		}
		a := stranger(http.MethodPost, "/responses", string(askAgain(t, `"input": "x", "previous_response_id": "%s"`, id)))
		refused(t, a, http.StatusBadRequest, "Previous response with id")
	}
	a := stranger(http.MethodPost, "/responses", string(askAgain(t, `"input": [{"role": "user", "content": "x"},
		{"type": "item_reference", "id": "%s"}]`, messageID(t, s, done))))
	refused(t, a, http.StatusBadRequest, "no item with the id")
	if a := stranger(http.MethodGet, "/responses?"+mine, ""); a.status != http.StatusOK || len(listOf(t, a).Data) != 0 {
		t.Errorf("status %d, want an empty list: %s", a.status, a.body)
	}
	close(release)
	if got := s.awaitStatus(t, held, "completed"); got.text() != "held" {
		t.Errorf("got the text %q", got.text())
	}
	s.get(t, done)
}

// messageID is the ID of the last item of a response.
func messageID(t *testing.T, s *stack, id string) string {
	t.Helper()
	items := wireItems(t, s.send(t, http.MethodGet, "/responses/"+id, ""))
	return items[len(items)-1].ID
}
