package starter

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/modeltest"
)

// TestScheduleUpdate: all that a schedule was made with can be changed, under its ID and with its runs, and lists have it.
func TestScheduleUpdate(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New(modeltest.Text("the first"), modeltest.Text("the second")))
	made := s.made(t, hourly)
	path := "/" + made.ID
	changed := func(key, body string) shownSchedule {
		t.Helper()
		a := s.ask(t, key, http.MethodPatch, path, body)
		a.want(t, http.StatusOK)
		return decoded[shownSchedule](t, a)
	}
	ran := func(n int, says string) {
		t.Helper()
		s.ask(t, apiKey, http.MethodPost, path+"/trigger", "").want(t, http.StatusOK)
		eventually(t, "the schedule has a run", func() bool {
			shown := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, ""))
			return len(shown.RecentRuns) == n && len(shown.Running) == 0 &&
				strings.Contains(s.get(t, apiKey, "/v1/responses/"+shown.RecentRuns[0].ResponseID).body, says)
		})
	}
	ran(1, "the first")

	shifted := changed(apiKey, `{"offset":600}`)
	if next := time.Unix(shifted.NextRuns[0], 0); next.Minute() != 10 || *shifted.Interval != 3600 || shifted.Note != "for ann" || shifted.Metadata["team"] != "x" {
		t.Errorf("shifted %+v, next at %v", shifted, next)
	}
	daily := changed(annsKey, `{"name":"daily","cron":["30 3 * * *"],"interval":0,"overlap":"allow_all","metadata":{"of":"ann"}}`)
	if next := time.Unix(daily.NextRuns[0], 0).UTC(); next.Hour() != 3 || next.Minute() != 30 || daily.Interval != nil || daily.Offset != nil ||
		daily.User != "alice" || daily.Overlap != "allow_all" || len(daily.Metadata) != 1 || daily.CreatedAt != made.CreatedAt {
		t.Errorf("daily %+v, next at %v", daily, next)
	}
	eventually(t, "the list has the change", func() bool {
		list := decoded[listOf[shownSchedule]](t, s.ask(t, bobsKey, http.MethodGet, "", ""))
		return len(list.Data) == 1 && list.Data[0].Name == "daily" && len(list.Data[0].Cron) == 1 && list.Data[0].Metadata["of"] == "ann" &&
			len(list.Data[0].RecentRuns) == 1 && list.Data[0].Request == nil
	})
	another := changed(apiKey, `{"request":{"input":"how was the day?"},"paused":true}`)
	if !strings.Contains(string(another.Request), "how was the day?") || !another.Paused || another.Name != "daily" || len(another.RecentRuns) != 1 {
		t.Errorf("another %+v", another)
	}
	changed(annsKey, `{"paused":false}`)
	ran(2, "the second")

	for name, tt := range map[string]struct {
		key, body string
		status    int
		says      string
	}{
		"no member's":        {bobsKey, `{"name":"bob's"}`, http.StatusForbidden, "alice"},
		"an admin's request": {annsKey, `{"request":{"input":"with her connectors"}}`, http.StatusForbidden, "connectors"},
		"another kind":       {apiKey, `{"batch":{}}`, http.StatusBadRequest, `"param":"batch"`},
		"a bad request":      {apiKey, `{"request":{"input":"hi","temperature":9}}`, http.StatusBadRequest, `"param":"request.temperature"`},
		"an inline token": {
			apiKey, `{"request":{"input":"hi","tools":[{"type":"mcp","server_label":"a","server_url":"http://127.0.0.1:1/mcp","authorization":"canary"}]}}`,
			http.StatusBadRequest, `"param":"request.tools[0].authorization"`,
		},
		"no time":      {apiKey, `{"cron":[]}`, http.StatusBadRequest, `"param":"cron"`},
		"no such time": {apiKey, `{"cron":["61 3 * * *"]}`, http.StatusBadRequest, `"param":"cron"`},
		"past":         {apiKey, `{"ends_at":1000}`, http.StatusBadRequest, `"param":"ends_at"`},
		"unknown":      {apiKey, `{"user":"bob"}`, http.StatusBadRequest, `"param":"user"`},
		"another's":    {otherKey, `{"name":"eve's"}`, http.StatusNotFound, "not found"},
	} {
		s.ask(t, tt.key, http.MethodPatch, path, tt.body).want(t, tt.status, tt.says)
		if now := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, "")); now.Name != "daily" || len(now.Cron) != 1 || now.EndsAt != nil {
			t.Errorf("%s: it is %+v", name, now)
		}
	}
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
	eventually(t, "a deleted schedule is not changed", func() bool {
		return s.ask(t, apiKey, http.MethodPatch, path, `{}`).status == http.StatusNotFound
	})
}

// TestScheduleChangesAtOnce: changes that come at the same time do not undo one another, unless a client is told so.
func TestScheduleChangesAtOnce(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New())
	made := s.made(t, hourly)
	path := "/" + made.ID
	for n := 1; n <= 5; n++ { // each of which would show lost changes in one of three cases
		bodies := []string{
			fmt.Sprintf(`{"name":"%d"}`, n), fmt.Sprintf(`{"jitter":%d}`, n), fmt.Sprintf(`{"offset":%d}`, n), fmt.Sprintf(`{"metadata":{"n":"%d"}}`, n),
		}
		statuses := make([]int, len(bodies))
		var all sync.WaitGroup
		for i, body := range bodies {
			all.Go(func() { statuses[i] = s.ask(t, apiKey, http.MethodPatch, path, body).status })
		}
		all.Wait()
		now := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodGet, path, ""))
		is := func(shown *int64) bool { return shown != nil && *shown == int64(n) }
		there := []bool{now.Name == strconv.Itoa(n), is(now.Jitter), is(now.Offset), now.Metadata["n"] == strconv.Itoa(n)}
		for i, status := range statuses {
			if status != http.StatusOK && status != http.StatusConflict || status == http.StatusOK && !there[i] {
				t.Errorf("%s was answered with %d, and the schedule is %+v", bodies[i], status, now)
			}
		}
	}
	s.ask(t, apiKey, http.MethodDelete, path, "").want(t, http.StatusOK)
}

// TestScheduleNotes: a note stays until another takes its place.
func TestScheduleNotes(t *testing.T) {
	t.Parallel()
	s := newScheduler(t, modeltest.New())
	for _, note := range []string{"for ann", ""} {
		made := s.made(t, `{"interval":3600,"note":`+strconv.Quote(note)+`,"request":{"input":"hi"}}`)
		for _, action := range []string{"/pause", "/pause", "/resume"} {
			got := decoded[shownSchedule](t, s.ask(t, apiKey, http.MethodPost, "/"+made.ID+action, ""))
			if got.Note != note || got.Paused != (action == "/pause") {
				t.Errorf("%s makes the note %q of %q, paused: %v", action, got.Note, note, got.Paused)
			}
		}
		if got := decoded[shownSchedule](t, s.ask(t, annsKey, http.MethodPost, "/"+made.ID+"/pause", `{"note":"holidays"}`)); got.Note != "holidays" {
			t.Errorf("the note is %q", got.Note)
		}
		s.ask(t, apiKey, http.MethodDelete, "/"+made.ID, "").want(t, http.StatusOK)
	}
}
