package starter

import (
	"net/http"
	"testing"

	"perdure/internal/responses"
)

// Without a worker, nothing is removed yet, and nobody finds the response any more.
func TestDeletedResponseIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	r := serve(t, nil)
	id := r.create(t, `{"input":"hi","background":true}`).response(t).ID
	ask := func(method, path string) answer {
		got, err := do(t.Context(), method, r.url+"/v1/responses/"+id+path, nil, "Authorization", "Bearer "+apiKey)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask(http.MethodDelete, ""); got.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", got.status, got.body)
	}
	for _, call := range [][2]string{
		{http.MethodGet, ""}, {http.MethodGet, "?stream=true"}, {http.MethodGet, "/input_items"}, {http.MethodPost, "/cancel"}, {http.MethodDelete, ""},
	} {
		if got := ask(call[0], call[1]); got.status != http.StatusNotFound || got.failed(t).Type != responses.ErrNotFound {
			t.Errorf("%s %s: HTTP %d with %s", call[0], call[1], got.status, got.body)
		}
	}
	got := r.create(t, `{"input":"hi","previous_response_id":"`+id+`"}`)
	if shown := got.failed(t); shown.Param != "previous_response_id" {
		t.Errorf("HTTP %d with %s", got.status, got.body)
	}
}
