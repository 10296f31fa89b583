package starter

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/temporaldev/temporaldevtest"
)

// batchPages are pages of nothing but the forms that make batches.
func batchPages(api *Starter, handle func(pattern string, h http.Handler)) {
	form := func(pattern string, send func(w http.ResponseWriter, r *http.Request, who identity.Principal) (batch.Batch, error)) {
		handle(pattern, api.Page(func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
			b, err := send(w, r, who)
			if err == nil {
				_, err = io.WriteString(w, b.ID)
			}
			return err
		}, func(w http.ResponseWriter, _ *http.Request, _ *identity.Principal, shown *responses.Error) {
			http.Error(w, shown.Error(), shown.Status)
		}))
	}
	form("POST /new", func(w http.ResponseWriter, r *http.Request, who identity.Principal) (batch.Batch, error) {
		return api.CreateBatch(w, r, who, NewBatch{
			Nonce: r.FormValue("nonce"), InputFile: r.FormValue("file"), Uploaded: r.FormValue("uploaded"), Window: r.FormValue("window"),
		})
	})
	form("POST /retry/{id}", func(w http.ResponseWriter, r *http.Request, who identity.Principal) (batch.Batch, error) {
		return api.RetryBatch(w, r, who, r.PathValue("id"), r.FormValue("nonce"))
	})
}

// failedBatch is one that has ended, with a line that has failed.
func (m *managed) failedBatch(t *testing.T) batch.Batch {
	t.Helper()
	b := m.stored(t, func(b *batch.Batch) { b.Progress = batch.Progress{Completed: 2, Failed: 1} })
	must(m.store.RunBatch(t.Context(), "acme", b.ID, 3))
	must(m.store.MoveBatch(t.Context(), "acme", b.ID, batch.Finalizing))
	return must(m.store.MoveBatch(t.Context(), "acme", b.ID, batch.Completed))
}

func (m *managed) upload(t *testing.T, name string) string {
	t.Helper()
	f := must(m.starter.Files.Create(t.Context(), identity.Actor{Organization: "acme", User: "alice"}, file.Draft{Filename: name, Purpose: file.PurposeBatch},
		strings.NewReader(`{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"input":"x"}}`+"\n")))
	return f.ID
}

func (b *browser) made(t *testing.T, path string, form url.Values) string {
	t.Helper()
	a := b.send(t, http.MethodPost, path+"?"+form.Encode(), "")
	if a.status != http.StatusOK || !batch.IsID(a.body) {
		t.Fatalf("HTTP %d with %s", a.status, a.body)
	}
	return a.body
}

// TestBatchFormsAreSentTwice: a double click or a reload makes no second batch, whose lines would all run again.
func TestBatchFormsAreSentTwice(t *testing.T) {
	t.Parallel()
	m := newManaged(t, func(o *Options) {
		o.Temporal = lazy(t, temporaldevtest.Address(t), o.Logger)
		requireSearchAttributes(t, o.Temporal)
		o.Pages = batchPages
	})
	alice, bob := m.signedIn(t, "acme", "alice"), m.signedIn(t, "acme", "bob")
	there, before := m.upload(t, "there"), m.failedBatch(t)
	form := func(fields ...string) url.Values {
		v := url.Values{"nonce": {aNonce}, "window": {"24h"}}
		for i := 0; i < len(fields); i += 2 {
			v.Set(fields[i], fields[i+1])
		}
		return v
	}
	uploaded := func() url.Values { return form("file", m.upload(t, "upload"), "uploaded", "hash") }
	want := 1 // which is there already
	for name, tt := range map[string]struct {
		path    string
		form    func() url.Values
		changed url.Values // what makes it another form
	}{
		"a file that was there": {"/new", func() url.Values { return form("file", there) }, form("file", there, "window", "48h")},
		"an upload":             {"/new", uploaded, form("file", m.upload(t, "other"), "uploaded", "other hash")},
		"a retry":               {"/retry/" + before.ID, func() url.Values { return form() }, form("nonce", anotherNonce)},
	} {
		var both sync.WaitGroup
		ids := make([]string, 2)
		for i := range ids { // a double click
			sent := tt.form()
			both.Go(func() { ids[i] = alice.send(t, http.MethodPost, tt.path+"?"+sent.Encode(), "").body })
		}
		both.Wait()
		if again := alice.made(t, tt.path, tt.form()); ids[0] != again || ids[1] != again {
			t.Errorf("%s: three times the same form is %q, %q and %q", name, ids[0], ids[1], again)
		}
		for whose, other := range map[string]string{"changed": alice.made(t, tt.path, tt.changed), "another person's": bob.made(t, tt.path, tt.form())} {
			if other == ids[0] {
				t.Errorf("%s, %s, is the same batch", name, whose)
			}
		}
		want += 3
	}
	batches, _, err := m.store.Batches(t.Context(), "acme", "", 100)
	if err != nil || len(batches) != want {
		t.Errorf("there are %d batches, want %d, %v", len(batches), want, err)
	}
	inputs := map[string]bool{there: true}
	for _, b := range batches {
		inputs[b.InputFile] = true
		if b.ID != before.ID && !b.Started {
			t.Errorf("%s was not begun", b.ID)
		}
	}
	files, err := m.starter.InputFiles(t.Context(), alicesSession, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !inputs[f.ID] {
			t.Errorf("the file %s of a form that was sent again is left", f.Filename)
		}
	}
	for _, path := range []string{"/new", "/retry/" + before.ID} {
		if a := alice.send(t, http.MethodPost, path+"?"+form("file", there, "nonce", "").Encode(), ""); a.status != http.StatusBadRequest || !strings.Contains(a.body, "load the page again") {
			t.Errorf("%s without a nonce: HTTP %d with %s", path, a.status, a.body)
		}
	}
}

var alicesSession = identity.Principal{Organization: "acme", User: "alice", Key: "session:alice", Scopes: identity.AllScopes}

// TestBatchFormWithoutTemporal: a batch that is stored and could not be begun is shown, since a person who is told that there is none makes
// another, and both would run.
func TestBatchFormWithoutTemporal(t *testing.T) {
	t.Parallel()
	m := newManaged(t, func(o *Options) { o.Pages = batchPages })
	alice := m.signedIn(t, "acme", "alice")
	form := url.Values{"nonce": {aNonce}, "window": {"24h"}, "file": {m.upload(t, "there")}}
	first := alice.made(t, "/new", form) // nobody has noticed yet that Temporal is away
	if again := alice.made(t, "/new", form); again != first {
		t.Errorf("sent again, the form is %s, not %s", again, first)
	}
	if b := must(m.store.Batch(t.Context(), "acme", first)); b.Started {
		t.Error("it was begun, without Temporal")
	}
}
