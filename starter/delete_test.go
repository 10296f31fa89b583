package starter

import (
	"net/http"
	"strings"
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

// A response whose value is lost, by an accident of the storage, can be removed like any other.
func TestDeletedWithoutItsValue(t *testing.T) {
	t.Parallel()
	r := serve(t, saying("said"), withDir(t.TempDir()))
	id := r.create(t, `{"input":"hi","instructions":"`+strings.Repeat("long ", inlineResponse)+`"}`).response(t).ID
	if err := r.options.Blobs.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, call := range []struct {
		method string
		status int
	}{{http.MethodGet, http.StatusInternalServerError}, {http.MethodDelete, http.StatusOK}, {http.MethodGet, http.StatusNotFound}} {
		got, err := do(t.Context(), call.method, r.url+"/v1/responses/"+id, nil, "Authorization", "Bearer "+apiKey)
		if err != nil || got.status != call.status {
			t.Errorf("%s: HTTP %d with %s, %v", call.method, got.status, got.body, err)
		}
	}
}
