package starter

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// stored puts a batch into the database, as a starter does before it begins it.
func (m *managed) stored(t *testing.T, change func(*batch.Batch)) batch.Batch {
	t.Helper()
	b := batch.Batch{
		ID: batch.NewID("", "", ""), User: "alice", Key: "test", Endpoint: batch.Endpoint, InputFile: file.NewID(), OutputFile: file.NewID(),
		ErrorFile: file.NewID(), Window: 24 * time.Hour, OutputAge: time.Hour, Concurrency: 4, Status: batch.Validating, Started: true,
	}
	b.Times.Created = time.Now()
	if change != nil {
		change(&b)
	}
	if err := m.store.AddBatch(t.Context(), identity.Operator("acme"), b, 100); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStrangersOfBatches: what another organization has is as if it were not there, and a key without the scope of runs opens nothing.
func TestStrangersOfBatches(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	running := m.stored(t, nil)
	done := m.stored(t, nil)
	must(m.store.RunBatch(t.Context(), "acme", done.ID, 3))
	must(m.store.MoveBatch(t.Context(), "acme", done.ID, batch.Completed))
	m.keys["carol"] = m.newKey(t, "acme", "alice", identity.ScopeConnectors|identity.ScopeAdmin)
	before := m.as(t, "alice", http.MethodGet, "/v1/batches", "").body
	tried := 0
	(&Starter{}).batchRoutes(func(pattern string, _ http.Handler) {
		method, path, _ := strings.Cut(pattern, " ")
		m.as(t, "carol", method, strings.Replace(path, "{id}", running.ID, 1), "").want(t, http.StatusForbidden, "the API key lacks the scope responses")
		m.as(t, "nobody", method, strings.Replace(path, "{id}", running.ID, 1), "").want(t, http.StatusUnauthorized)
		if !strings.Contains(path, "{id}") {
			return
		}
		tried++
		for _, id := range []string{running.ID, done.ID} {
			nobodys := batch.Prefix + uuid.NewString()
			ask := func(id string) answer { return m.as(t, "eve", method, strings.Replace(path, "{id}", id, 1), "") }
			got, want := ask(id), ask(nobodys)
			if !slices.Contains([]int{http.StatusNotFound, http.StatusServiceUnavailable}, got.status) || got.status != want.status ||
				got.body != strings.ReplaceAll(want.body, nobodys, id) {
				t.Errorf("%s: HTTP %d with %s\nwith one that nobody has: HTTP %d with %s", pattern, got.status, got.body, want.status, want.body)
			}
		}
	})
	if tried != 5 {
		t.Errorf("%d routes of one batch were tried, want 5", tried)
	}
	if got := decoded[listOf[shownBatch]](t, m.as(t, "eve", http.MethodGet, "/v1/batches", "")); len(got.Data) != 0 {
		t.Errorf("eve lists %+v", got)
	}
	m.as(t, "eve", http.MethodGet, "/v1/batches?after="+running.ID, "").want(t, http.StatusBadRequest)
	if after := m.as(t, "alice", http.MethodGet, "/v1/batches", "").body; after != before {
		t.Errorf("afterwards there is %s\nbefore: %s", after, before)
	}
}

// Without Temporal, what the database has is shown, and what is wanted of a batch is kept for its workflow.
func TestBatchesWithoutTemporal(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	// Nobody has noticed yet that Temporal is away.
	missing := fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h"}`, file.NewID())
	m.as(t, "alice", http.MethodPost, "/v1/batches", missing).want(t, http.StatusBadRequest, "there is no file")
	as(t, m.keys["alice"], http.MethodPost, m.URL+"/v1/batches", missing, "Idempotency-Key", "k").want(t, http.StatusBadRequest, "there is no file")
	var ids []string
	for range 3 {
		b := m.stored(t, nil)
		must(m.store.RunBatch(t.Context(), "acme", b.ID, 30))
		ids = append(ids, b.ID)
	}
	first := decoded[listOf[shownBatch]](t, m.as(t, "bob", http.MethodGet, "/v1/batches?limit=2", ""))
	rest := decoded[listOf[shownBatch]](t, m.as(t, "bob", http.MethodGet, "/v1/batches?limit=2&after="+*first.LastID, ""))
	if len(first.Data) != 2 || first.Data[0].ID != ids[2] || !first.HasMore || len(rest.Data) != 1 || rest.Data[0].ID != ids[0] || rest.HasMore {
		t.Errorf("pages %+v and %+v", first, rest)
	}
	one := "/v1/batches/" + ids[0]
	if b := decoded[shownBatch](t, m.as(t, "bob", http.MethodPost, one+"/pause", "")); !b.Paused || b.Status != batch.InProgress {
		t.Errorf("paused it is %+v", b)
	}
	if b := decoded[shownBatch](t, m.as(t, "bob", http.MethodPost, one+"/resume", "")); b.Paused {
		t.Errorf("it stays paused: %+v", b)
	}
	for range 2 {
		if b := decoded[shownBatch](t, m.as(t, "bob", http.MethodPost, one+"/cancel", "")); b.Status != batch.Cancelling || b.CancellingAt == nil {
			t.Errorf("cancelled it is %+v", b)
		}
	}
	if b := decoded[shownBatch](t, m.as(t, "bob", http.MethodGet, one, "")); b.Status != batch.Cancelling || b.RequestCounts.Total != 30 || b.Progress != nil {
		t.Errorf("it is shown as %+v", b)
	}
	m.as(t, "bob", http.MethodPost, one+"/retry", "").want(t, http.StatusConflict)
	in := decoded[shownFile](t, m.uploadAs(t, "alice", purposeBatch, fileOf(
		`{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"input":"x"}}`+"\n")))
	m.as(t, "alice", http.MethodPost, "/v1/batches", fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h"}`, in.ID)).
		want(t, http.StatusServiceUnavailable)
	if all := decoded[listOf[shownBatch]](t, m.as(t, "bob", http.MethodGet, "/v1/batches", "")); len(all.Data) != 3 {
		t.Errorf("a batch that could not be begun is in the list: %+v", all.Data[0])
	}
}

func TestBatchAsShown(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	problems := []batch.Problem{{Code: "mismatched_endpoint", Message: "m", Param: "endpoint", Line: 1}, {Code: "empty_file", Message: "n"}}
	b := m.stored(t, func(b *batch.Batch) {
		b.Metadata, b.RetryOf, b.Window = map[string]string{"k": "v"}, "batch_before", 90*time.Minute
	})
	must(m.store.FailBatch(t.Context(), "acme", b.ID, problems))
	got := decoded[shownBatch](t, m.as(t, "alice", http.MethodGet, "/v1/batches/"+b.ID, ""))
	if got.Object != "batch" || got.Status != batch.Failed || got.CompletionWindow != "90m" || got.ExpiresAt != b.Times.Created.Add(90*time.Minute).Unix() ||
		got.OutputFileID != nil || got.ErrorFileID != nil || got.RetryOf == nil || got.Metadata["k"] != "v" || got.FailedAt == nil ||
		len(got.Errors.Data) != 2 || *got.Errors.Data[0].Line != 1 || got.Errors.Data[1].Param != nil {
		t.Errorf("%+v", got)
	}
}

func TestCompletionWindows(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"24h": 24 * time.Hour, "1h": time.Hour, "60m": time.Hour, "90m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour,
		"720h": 720 * time.Hour,
		"":     0, "h": 0, "24": 0, "24H": 0, "1.5h": 0, "-1h": 0, "+2h": 0, "59m": 0, "721h": 0, "31d": 0, "99999999999999999999h": 0, "24 h": 0,
	} {
		got, err := parseWindow(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 90 * time.Minute: "90m", 7 * 24 * time.Hour: "168h"} {
		if got := windowText(d); got != want {
			t.Errorf("%v is shown as %q, want %q", d, got, want)
		}
	}
}

// Of the error of a run, the status is that which its request would have been answered with.
func TestStatusOfRefusedLines(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]int{
		responses.ErrInvalidRequest: 400, responses.ErrForbidden: 403, responses.ErrNotFound: 404, responses.ErrPayloadTooLarge: 413,
		responses.ErrExternalConnector: 424,
	} {
		if got := statusOfType[kind]; got != want {
			t.Errorf("%s is answered with %d, want %d", kind, got, want)
		}
	}
}

// TestBatchThatBeganAfterAll: a request whose start was answered with an error takes nothing from a batch that has begun nevertheless.
func TestBatchThatBeganAfterAll(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	in := decoded[shownFile](t, m.uploadAs(t, "alice", purposeBatch, fileOf(batchLine("a"))))
	begun := func(change func(*batch.Batch)) batch.Batch {
		b := m.stored(t, func(b *batch.Batch) { b.Started, b.InputFile = false, in.ID })
		b.Organization = "acme"
		if err := m.starter.beginFiles(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		change(&b)
		return b
	}
	gone := begun(func(*batch.Batch) {})
	runs := begun(func(b *batch.Batch) { must(m.store.RunBatch(t.Context(), "acme", b.ID, 1)) })
	if !m.starter.takeBack(t.Context(), identity.Operator("acme"), &gone) || m.starter.takeBack(t.Context(), identity.Operator("acme"), &runs) {
		t.Error("the wrong one is taken back")
	}
	m.as(t, "alice", http.MethodGet, "/v1/batches/"+gone.ID, "").want(t, http.StatusNotFound)
	m.as(t, "alice", http.MethodGet, filesPath+"/"+gone.OutputFile, "").want(t, http.StatusNotFound)
	m.as(t, "alice", http.MethodGet, "/v1/batches/"+runs.ID, "").want(t, http.StatusOK)
	for _, id := range []string{in.ID, runs.OutputFile, runs.ErrorFile} {
		m.as(t, "alice", http.MethodGet, filesPath+"/"+id, "").want(t, http.StatusOK)
		m.as(t, "alice", http.MethodDelete, filesPath+"/"+id, "").want(t, http.StatusConflict, runs.ID)
	}
}
