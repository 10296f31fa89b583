package starter

import (
	"net/http"
	"testing"

	"perdure/internal/secret"
	"perdure/internal/store"
	"perdure/internal/store/postgrestest"
)

// While the database is away, what needs it is refused at once and may be tried again: a key that cannot be looked up is not an unknown
// one. Keys of the configuration and what they do without the database go on.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	server := must(postgrestest.Start(t.Context()))
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			_ = server.Stop()
		}
	})
	m := newManagedOn(t, store.Options{URL: secret.New(server.URL(must(server.NewDatabase(t.Context(), ""))))})
	if a := m.as(t, "ann", http.MethodGet, connectorsPath, ""); a.status != http.StatusOK {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	stopped = true
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	m.starter.callers.forget()
	for path, key := range map[string]string{connectorsPath: m.keys["ann"], organizationPath: apiKey, connectorsPath + "?limit=1": apiKey} {
		a := as(t, key, http.MethodGet, m.URL+path, "")
		refused(t, a, http.StatusServiceUnavailable, "database")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	for key, name := range map[string]string{m.keys["ann"]: "of the database", apiKey: "of the configuration"} {
		a := as(t, key, http.MethodPost, m.URL+"/v1/responses/input_tokens", `{"input": "x", "unknown": 1}`)
		want := http.StatusBadRequest
		if key != apiKey {
			want = http.StatusServiceUnavailable
		}
		if a.status != want {
			t.Errorf("a key %s: HTTP %d with %s, want %d", name, a.status, a.body, want)
		}
	}
}
