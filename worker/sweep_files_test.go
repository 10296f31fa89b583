package worker_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/store"
	"perdure/internal/temporaldev/temporaldevtest"
)

// TestSweepOfFiles: what belongs to a file that lives stays, also one that has expired while something needs it, and what a cut-off upload has
// left goes.
func TestSweepOfFiles(t *testing.T) {
	t.Parallel()
	f := setup(t, "http://127.0.0.1:1/v1")
	f.steps.SweepLimits = activities.SweepLimits{Grace: time.Nanosecond, EventAge: time.Hour}
	f.options.SweepEvery = 1000 * time.Hour
	sealer := must(secret.ParseKeyset(must(secret.GenerateKeyset())))
	database := must(store.Open(t.Context(), store.Options{File: filepath.Join(t.TempDir(), "perdure.db"), Sealer: sealer, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(func() { database.Close() })
	must(database.Migrate(t.Context()))
	files := file.New(file.Options{
		Store: database, Blobs: f.blobs, Sealer: sealer, Logger: slog.New(slog.DiscardHandler), ExpireAfter: time.Hour,
		Limits: file.Limits{Bytes: 1 << 20, Lines: 100, Line: 1 << 10},
	})
	f.steps.Files = files
	content := `{"custom_id":"a","method":"POST","url":"/v1/responses","body":{}}`
	living := must(files.Create(t.Context(), identity.Actor{Organization: "acme", User: "ann"},
		file.Draft{Filename: "in.jsonl", Purpose: file.PurposeBatch}, strings.NewReader(content)))
	ids := map[string]string{"cut off": file.NewID(), "expired": file.NewID(), "expired and held": file.NewID(), "growing": file.NewID()}
	for name, output := range map[string]file.Output{
		"expired":          {Expires: time.Now().Add(-time.Hour), Holder: "batch_1"},
		"expired and held": {Expires: time.Now().Add(-time.Hour), Holder: "batch_2"},
		"growing":          {Expires: time.Now().Add(time.Hour)},
	} {
		output.ID, output.Organization, output.User = ids[name], "acme", "ann"
		output.Purpose, output.Filename = file.PurposeBatchOutput, "out.jsonl"
		must(files.Begin(t.Context(), output))
		if err := files.Append(t.Context(), "acme", output.ID, 1, [][]byte{[]byte("{}")}); err != nil {
			t.Fatal(err)
		}
		f.put(t, f.blobs.ForFile(output.ID))
	}
	if err := files.Release(t.Context(), "batch_1"); err != nil {
		t.Fatal(err)
	}
	f.put(t, f.blobs.ForFile(ids["cut off"]))
	c := dial(t, temporaldevtest.Address(t), "")
	f.run(t, c)
	f.sweep(t, c)
	for _, id := range []string{living.ID, ids["expired and held"], ids["growing"]} {
		if lines, err := files.Lines(t.Context(), "acme", id, 1, 10); err != nil || len(lines) != 1 {
			t.Errorf("%s has %d lines, %v", id, len(lines), err)
		}
	}
	for name, want := range map[string]bool{"cut off": false, "expired": false, "expired and held": true, "growing": true} {
		if got := f.holds(t, func(s *blob.Stores) *blob.Store { return s.ForFile(ids[name]) }); got != want {
			t.Errorf("%s: the value is there: %v, want %v", name, got, want)
		}
	}
	missing := must(files.Missing(t.Context(), []string{ids["expired"], ids["growing"], living.ID}))
	if len(missing) != 1 || missing[0] != ids["expired"] {
		t.Errorf("missing are %v", missing)
	}
}
