package starter

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"perdure/internal/modeltest"
	"perdure/internal/payload"
	"perdure/internal/secret"
)

// TestResealSchedules: once schedules are resealed, the key that they were made with is not needed any more, for their runs, for themselves
// and for lists.
func TestResealSchedules(t *testing.T) {
	t.Parallel()
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	open := func() *secret.Sealer { return must(secret.OpenKeysetFile(keyset, slog.New(slog.DiscardHandler))) }
	change := func(change func(*secret.Keyset) error) {
		if err := secret.ChangeKeysetFile(keyset, change); err != nil {
			t.Fatal(err)
		}
	}
	s := newScheduler(t, modeltest.New(modeltest.Text("done")), func(o *Options) {
		o.Sealer = open()
		encryptPayloads(t, o)
	})
	made := s.made(t, `{"name":"kept","interval":86400,"request":{"input":"hi"}}`)
	path := "/" + made.ID
	eventually(t, "the list has it", func() bool {
		return strings.Contains(s.ask(t, apiKey, http.MethodGet, "", "").body, made.ID)
	})
	// reseal is the command, which has a keyset of its own. Other tests have schedules here that it cannot read.
	reseal := func(sealer *secret.Sealer) bool {
		t.Helper()
		before := must(describeSchedule(t.Context(), s.temporal.WorkflowService(), s.options.Namespace, s.options.Payloads, made.ID))
		sealed, err := resealSchedule(t.Context(), s.temporal, s.options.Namespace, payload.NewDataConverter(payload.NewCodec(sealer, true)), sealer, made.ID)
		if err != nil {
			t.Fatal(err)
		}
		after := must(describeSchedule(t.Context(), s.temporal.WorkflowService(), s.options.Namespace, s.options.Payloads, made.ID))
		if a, b := before.content.record, after.content.record; a.Name != b.Name || a.CreatedAt != b.CreatedAt || a.Interval != b.Interval {
			t.Errorf("it is %+v, and was %+v", b, a)
		}
		return sealed
	}
	if reseal(open()) {
		t.Error("it was sealed anew although its key is the primary one")
	}
	var old uint32
	change(func(k *secret.Keyset) error {
		_, err := k.Prepare()
		if err == nil {
			_, old, err = k.Promote()
		}
		return err
	})
	if !reseal(open()) {
		t.Error("it was not sealed anew")
	}
	if reseal(open()) {
		t.Error("it was sealed anew twice")
	}
	change(func(k *secret.Keyset) error {
		if err := k.Disable(old); err != nil {
			return err
		}
		return k.Drop(old)
	})
	// As a process reads it that starts now.
	sealer := open()
	payloads := payload.NewDataConverter(payload.NewCodec(sealer, true))
	d := must(describeSchedule(t.Context(), s.temporal.WorkflowService(), s.options.Namespace, payloads, made.ID))
	if d.unreadable != nil || d.content.record.Name != "kept" || !strings.Contains(string(d.content.input.Request.Body), "hi") {
		t.Errorf("it is %+v, %v", d.content, d.unreadable)
	}
	if _, err := memoRecord(payloads, d.described.GetMemo()); err == nil {
		t.Error("the memo does not need the key that was dropped")
	}
	eventually(t, "lists do without the memo", func() bool {
		all := must(s.temporal.ScheduleClient().List(t.Context(), client.ScheduleListOptions{}))
		for all.HasNext() {
			if one := must(all.Next()); one.ID == made.ID {
				return memoOutdated(one.SearchAttributes)
			}
		}
		return false
	})
	s.ask(t, apiKey, http.MethodGet, "", "").want(t, http.StatusOK, `"name":"kept"`)
	s.ask(t, apiKey, http.MethodPost, path+"/trigger", "").want(t, http.StatusOK)
	eventually(t, "the run has ended", func() bool {
		shown := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, ""))
		return len(shown.RecentRuns) == 1 && len(shown.Running) == 0 &&
			strings.Contains(s.get(t, apiKey, "/v1/responses/"+shown.RecentRuns[0].ResponseID).body, "done")
	})

	// All at once: what cannot be read is told of, and does not stop it.
	stranger := must(secret.ParseKeyset(must(secret.GenerateKeyset())))
	done, err := ResealSchedules(t.Context(), s.temporal, s.options.Namespace, stranger)
	if err != nil || !slices.Contains(done.Lost, made.ID) || done.Looked < 1 || done.Sealed != 0 {
		t.Errorf("it did %+v, %v", done, err)
	}
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
}

// TestUnreadableSchedule: a schedule whose key is lost can be paused, resumed and deleted, and is not written over by what cannot be read.
func TestUnreadableSchedule(t *testing.T) {
	t.Parallel()
	lost := must(secret.ParseKeyset(must(secret.GenerateKeyset())))
	s := newScheduler(t, modeltest.New())
	made := s.made(t, hourly)
	path := "/" + made.ID
	change := must(describeSchedule(t.Context(), s.temporal.WorkflowService(), s.options.Namespace, s.options.Payloads, made.ID))
	change.setArgument(must(scheduleArgument(payload.NewDataConverter(payload.NewCodec(lost, true)), change.content.input, change.content.record)))
	if err := change.send(t.Context(), s.temporal.WorkflowService(), s.options.Namespace, made.ID); err != nil {
		t.Fatal(err)
	}
	s.ask(t, apiKey, http.MethodPatch, path, `{"name":"another"}`).want(t, http.StatusConflict, "cannot be read")
	s.ask(t, apiKey, http.MethodPost, path+"/pause", "").want(t, http.StatusOK, `"paused":true`, `"note":"for ann"`)
	s.ask(t, apiKey, http.MethodPost, path+"/resume", "").want(t, http.StatusOK, `"paused":false`)
	s.ask(t, apiKey, http.MethodGet, "", "").want(t, http.StatusOK)
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
}
