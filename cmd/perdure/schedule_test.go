package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// scheduleAPI answers like the API, with one schedule, and keeps what it was asked last.
type scheduleAPI struct {
	server  *httptest.Server
	request string // method and path
	body    any
}

func newScheduleAPI(t *testing.T, name string) *scheduleAPI {
	t.Helper()
	a := &scheduleAPI{}
	one := map[string]any{"id": "sched_1", "name": name, "user": "ann", "cron": []string{"@daily"}, "time_zone": "UTC", "next_runs": []int{}, "recent_runs": []int{}}
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		a.request, a.body = r.Method+" "+r.URL.Path, nil
		if len(body) > 0 {
			if err := json.Unmarshal(body, &a.body); err != nil {
				t.Errorf("%v in %s", err, body)
			}
		}
		var answer any = one
		if a.request == "GET /v1/schedules" {
			answer = map[string]any{"object": "list", "data": []any{one}, "has_more": false}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(a.server.Close)
	return a
}

// TestScheduleBodies: what the flags say, and nothing else, is what the API is asked for.
func TestScheduleBodies(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(file, []byte(`{"input":"from a file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newScheduleAPI(t, "x")
	for _, tt := range []struct {
		args          []string
		request, body string
	}{
		{
			[]string{"create", "hi", "--every", "1h", "--offset", "10m", "--jitter", "90s", "--paused", "--metadata", "team=ops", "--model", "p/m"},
			"POST /v1/schedules",
			`{"interval":3600,"offset":600,"jitter":90,"paused":true,"metadata":{"team":"ops"},"request":{"model":"p/m","input":"hi"}}`,
		},
		{
			[]string{"create", "--request", file, "--cron", "0 7 * * *", "--cron", "@weekly", "--starts", "2030-01-31T12:00:00Z"},
			"POST /v1/schedules", `{"cron":["0 7 * * *","@weekly"],"starts_at":1896091200,"request":{"input":"from a file"}}`,
		},
		{
			[]string{"create", "--batch-file", "file-1", "--cron", "@daily", "--window", "12h"},
			"POST /v1/schedules", `{"cron":["@daily"],"batch":{"input_file_id":"file-1","endpoint":"/v1/responses","completion_window":"12h"}}`,
		},
		{
			[]string{"create", "--batch-file", "file-1", "--cron", "@daily", "--completion-window", "7d"}, // its former name
			"POST /v1/schedules", `{"cron":["@daily"],"batch":{"input_file_id":"file-1","endpoint":"/v1/responses","completion_window":"7d"}}`,
		},
		{
			[]string{"update", "sched_1", "--cron", "", "--every", "2h", "--ends", "", "--note", "", "--pause-on-failure=false"},
			"PATCH /v1/schedules/sched_1", `{"cron":[],"interval":7200,"ends_at":0,"note":"","pause_on_failure":false}`,
		},
		{
			[]string{"update", "sched_1", "another", "--max-steps", "3"},
			"PATCH /v1/schedules/sched_1", `{"request":{"input":"another","max_steps":3}}`,
		},
	} {
		code, out, errs := perdure(t.Context(), append(append([]string{"schedule"}, tt.args...), "--server", a.server.URL, "--json")...)
		var want any
		if err := json.Unmarshal([]byte(tt.body), &want); err != nil {
			t.Fatal(err)
		}
		if code != 0 || errs != "" || !strings.Contains(out, `"sched_1"`) || a.request != tt.request || !reflect.DeepEqual(a.body, want) {
			t.Errorf("%q: exit %d, %s%s, %s with %v, want %s", tt.args, code, out, errs, a.request, a.body, tt.body)
		}
	}
}

// TestScheduleContradictions: what would be left out silently is refused before a server is called.
func TestScheduleContradictions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"create", "--every", "1h", "--request", "r.json", "--batch-file", "file-1"},
		{"create", "--every", "1h", "--request", "r.json", "--window", "12h"},
		{"create", "x", "--every", "1h", "--window", "12h"},
		{"create", "x", "--every", "1h", "--request", "r.json"},
		{"create", "x", "--every", "1h", "--offset", "1500ms"},
		{"update", "sched_1"},
		{"update", "sched_1", "--model", "p/m"},
		{"update", "sched_1", "--window", "12h"},
		{"update", "sched_1", "x", "--batch-file", "file-1"},
	} {
		refuseUsage(t, args)
	}
	for _, flag := range promptFlags {
		value := map[string]string{"max-steps": "3", "mcp": "a=https://h/", "tool": "a:b"}[flag]
		if value == "" {
			value = "x"
		}
		for _, target := range [][]string{{"--request", "r.json"}, {"--batch-file", "file-1"}} {
			refuseUsage(t, append([]string{"create", "--every", "1h", "--" + flag, value}, target...))
		}
	}
}

func refuseUsage(t *testing.T, args []string) {
	t.Helper()
	code, out, errs := perdure(t.Context(), append(append([]string{"schedule"}, args...), "--server", "http://127.0.0.1:1")...)
	if code != exitUsage || out != "" || errs == "" {
		t.Errorf("%q: exit %d, %q, %q", args, code, out, errs)
	}
}

// TestListedNames: whatever a thing is called, it has one row in a list, and its name one column.
func TestListedNames(t *testing.T) {
	t.Parallel()
	a := newScheduleAPI(t, "mine\nsched_2  forged\there\x1b[2J")
	code, out, errs := perdure(t.Context(), "schedule", "list", "--server", a.server.URL)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if code != 0 || errs != "" || len(lines) != 2 || !strings.Contains(lines[1], "mine sched_2 forged here[2J  ") || strings.Contains(out, "\x1b") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}
