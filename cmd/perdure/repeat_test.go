package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
)

const (
	lateRefusal = `{"error":{"type":"service_unavailable","message":"the workflow service cannot be reached; try again"}}`
	rateRefusal = `{"error":{"type":"rate_limit_exceeded","message":"too many requests"}}`
)

// TestDoneAndRefused: what the server has done before its answer said that it cannot is not done again.
func TestDoneAndRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what string
		args []string
	}{
		{"POST /v1/schedules/sched_1/trigger", []string{"schedule", "trigger", "sched_1"}},
		{"POST /v1/connectors", []string{"connector", "add", "x", "https://mcp.example.com/mcp", "--yes"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t, map[string]http.HandlerFunc{tt.what: says(503, lateRefusal, "Retry-After", "1", "Retry-After-Ms", "1")})
			code, _, errs := perdure(t.Context(), append(tt.args, "--server", d.URL)...)
			if code != exitError || !strings.Contains(errs, "it may have been done all the same, so look before you ask for it again") {
				t.Errorf("exit %d, %q", code, errs)
			}
			if n := d.times(tt.what); n != 1 {
				t.Errorf("it was asked for %d times", n)
			}
		})
	}
}

// TestInterruptedBeforeAnythingBegan: a run that the server has only ever refused beforehand is not begun in order to be cancelled.
func TestInterruptedBeforeAnythingBegan(t *testing.T) {
	t.Parallel()
	d := newDouble(t, map[string]http.HandlerFunc{"POST /v1/responses": says(429, rateRefusal, "Retry-After", "60")})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out bytes.Buffer
	errs := &until{text: "trying again in", do: interrupt}
	code := run(ctx, []string{"run", "x", "--server", d.URL}, &out, errs)
	if code != exitInterrupted || !strings.Contains(errs.String(), "No run was begun.") {
		t.Errorf("exit %d, %q", code, errs)
	}
	if n := d.times("POST /v1/responses"); n != 1 {
		t.Errorf("the run was asked for %d times", n)
	}
}
