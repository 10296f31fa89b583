package activities_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

const often = 20 * time.Millisecond

func beatsOften(o *activities.Options) { o.HeartbeatEvery = often }

// The record is with the server before the call leaves, and beats do not wipe it out.
func TestRecordStays(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere, beatsOften)
	server := closed(t, mcptest.NewHostile())
	arrived, release := make(chan struct{}), make(chan struct{})
	ok := mcptest.Result(`{"content":[]}`)
	server.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		close(arrived)
		<-release
		ok(w, r, m)
	})
	s := f.startStep(callOnServer(f.callInput(f.server("s", server.URL()), false)))
	<-arrived
	var last time.Time
	for beats := range 4 {
		a := s.pending(t, "a beat", func(a *workflowpb.PendingActivityInfo) bool { return a.GetLastHeartbeatTime().AsTime().After(last) })
		last = a.GetLastHeartbeatTime().AsTime()
		if got := string(a.GetHeartbeatDetails().GetPayloads()[0].GetData()); got != `{"sending":true}` {
			t.Errorf("after %d beats the server has %s", beats, got)
		}
	}
	close(release)
	if err := s.run.Get(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A step hears of its end with the answer to its next beat, whatever the heartbeat timeout is.
func TestEndOfTheRunReachesAStep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(*testing.T, *step) error
		ends func(error) bool
	}{
		{
			"cancelled",
			func(t *testing.T, s *step) error {
				return s.client.CancelWorkflow(t.Context(), s.run.GetID(), s.run.GetRunID())
			},
			func(err error) bool {
				var cancelled *temporal.CanceledError
				return errors.As(err, &cancelled)
			},
		},
		{
			"terminated",
			func(t *testing.T, s *step) error {
				return s.client.TerminateWorkflow(t.Context(), s.run.GetID(), s.run.GetRunID(), "")
			},
			func(err error) bool {
				var terminated *temporal.TerminatedError
				return errors.As(err, &terminated)
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere, beatsOften)
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", mcptest.Silent())
			call := callOnServer(f.callInput(f.server("s", server.URL()), false))
			s := f.startStep(func(ctx workflow.Context) workflow.Future {
				return call(workflow.WithHeartbeatTimeout(ctx, time.Minute))
			})
			if err := server.Await(t.Context(), "tools/call", 1); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := tt.end(t, s); err != nil {
				t.Fatal(err)
			}
			// The server is told, too.
			if err := server.Await(t.Context(), "notifications/cancelled", 1); err != nil {
				t.Error(err)
			}
			// Beats are 20 ms apart; the rest is patience with a busy machine, and far less than the heartbeat timeout.
			if took := time.Since(began); took > patience {
				t.Errorf("the step heard of it after %v", took)
			}
			if err := s.run.Get(t.Context(), nil); !tt.ends(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A step without a record beats, too.
func TestModelTurnBeats(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	m := closed(t, modeltest.New(modeltest.Text("answer").Hold(release)))
	f := setup(t, m.URL(), beatsOften)
	in := f.turnInput(activities.Settings{})
	s := f.startStep(func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteActivity(ctx, activities.ModelTurnName, in)
	})
	var last time.Time
	for range 3 {
		a := s.pending(t, "a beat", func(a *workflowpb.PendingActivityInfo) bool { return a.GetLastHeartbeatTime().AsTime().After(last) })
		last = a.GetLastHeartbeatTime().AsTime()
	}
	close(release)
	if err := s.run.Get(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// Temporal may be away for less than the heartbeat timeout without any work being lost.
func TestStepOutlivesARestartOfTemporal(t *testing.T) {
	t.Parallel()
	temporalServer := temporaldevtest.Start(t)
	f := setup(t, nowhere, func(o *activities.Options) { o.HeartbeatEvery = 100 * time.Millisecond })
	server := closed(t, mcptest.NewHostile())
	arrived, release := make(chan struct{}), make(chan struct{})
	ok := mcptest.Result(`{"content":[{"type":"text","text":"done"}]}`)
	server.On("tools/call", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		close(arrived)
		<-release
		ok(w, r, m)
	})
	call := callOnServer(f.callInput(f.server("s", server.URL()), false))
	s := f.startStepOn(temporalServer.Address, func(ctx workflow.Context) workflow.Future {
		// How long a restart takes on a busy machine is not what is tested here.
		ctx = workflow.WithHeartbeatTimeout(ctx, 25*time.Second)
		return call(ctx)
	}, f.steps.MCPCall)
	<-arrived
	temporalServer.Kill()
	// Long enough for many beats to fail, each in its own way.
	<-time.After(1500 * time.Millisecond)
	temporaldevtest.Restart(t, temporalServer)
	close(release)
	var got activities.MCPCallResult
	if err := s.run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if item := f.item(got); item.Output != "done" {
		t.Errorf("output %q, error %v", item.Output, item.Error)
	}
}

// A call that may not be repeated waits for Temporal with its record, and is then made.
func TestRecordWaitsForTemporal(t *testing.T) {
	t.Parallel()
	temporalServer := temporaldevtest.Start(t)
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	arrived, release := make(chan struct{}), make(chan struct{})
	server.On("initialize", func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		close(arrived)
		<-release
		mcptest.Result(`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}`)(w, r, m)
	})
	call := callOnServer(f.callInput(f.server("s", server.URL()), false))
	s := f.startStepOn(temporalServer.Address, func(ctx workflow.Context) workflow.Future {
		return call(workflow.WithHeartbeatTimeout(ctx, time.Minute)) // the step stays this worker's
	}, f.steps.MCPCall)
	<-arrived
	temporalServer.Kill()
	close(release)
	if err := server.Await(t.Context(), "notifications/initialized", 1); err != nil {
		t.Fatal(err)
	}
	temporaldevtest.Restart(t, temporalServer)
	var got activities.MCPCallResult
	if err := s.run.Get(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if item := f.item(got); item.Error != nil || item.Output != "ok" {
		t.Errorf("output %q, error %v", item.Output, item.Error)
	}
	if n := server.Count("tools/call"); n != 1 {
		t.Errorf("the tool was called %d times, want once", n)
	}
}

// Whoever cancels a run tells all workers, so that a step need not wait for its next beat. The news may be ahead of the cancellation.
func TestNudgeBringsTheEndAtOnce(t *testing.T) {
	t.Parallel()
	for _, newsFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("news first %t", newsFirst), func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere, func(o *activities.Options) { o.HeartbeatEvery = time.Hour })
			server := closed(t, mcptest.NewHostile())
			server.On("tools/call", mcptest.Silent())
			call := callOnServer(f.callInput(f.server("s", server.URL()), false))
			s := f.startStep(func(ctx workflow.Context) workflow.Future {
				return call(workflow.WithHeartbeatTimeout(ctx, time.Minute))
			})
			if err := server.Await(t.Context(), "tools/call", 1); err != nil {
				t.Fatal(err)
			}
			f.options.Events.NudgeCancelled("resp_other")
			nudged := time.Now()
			if newsFirst {
				f.options.Events.NudgeCancelled(responseID)
				<-time.After(100 * time.Millisecond)
			}
			if err := s.client.CancelWorkflow(t.Context(), s.run.GetID(), s.run.GetRunID()); err != nil {
				t.Fatal(err)
			}
			if pending := s.awaitCancelled(t); !pending && !newsFirst {
				t.Error("the step heard of it without being told")
			}
			// Told once, a step asks for a second. On a busy machine that may be over before Temporal has the cancellation.
			if !newsFirst || time.Since(nudged) > time.Second {
				f.options.Events.NudgeCancelled(responseID)
			}
			began := time.Now()
			if err := server.Await(t.Context(), "notifications/cancelled", 1); err != nil {
				t.Error(err)
			}
			// It is a second at the most; the rest is patience with a busy machine. There is no beat for an hour.
			if took := time.Since(began); took > patience {
				t.Errorf("the step heard of it after %v", took)
			}
			var cancelled *temporal.CanceledError
			if err := s.run.Get(t.Context(), nil); !errors.As(err, &cancelled) {
				t.Errorf("error %v", err)
			}
		})
	}
}
