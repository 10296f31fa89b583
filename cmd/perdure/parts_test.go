package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"perdure/activities"
	"perdure/config"
	"perdure/internal/events/eventstest"
	"perdure/internal/mcptest"
	"perdure/internal/responses"
)

// A request may choose among more tools than a model may be offered.
func TestToolsBeyondTheLimitCanBeChosen(t *testing.T) {
	t.Parallel()
	var tools []string
	for n := range 200 {
		tools = append(tools, fmt.Sprintf(`{"name":"tool%d","inputSchema":{"type":"object"}}`, n))
	}
	server := mcptest.NewHostile()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	server.On("tools/list", mcptest.Result(`{"tools":[`+strings.Join(tools, ",")+`]}`))

	c := config.Default()
	c.Data.Dir = t.TempDir()
	c.Network.AllowOrigins = []string{"http://127.0.0.1:*"}
	c.Models.Providers = map[string]config.Provider{"p": {BaseURL: "http://127.0.0.1:1/v1"}}
	blobs, err := openBlobs(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := openSealer(c, newLogger(c.Log, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := newCatalog(c.Models)
	if err != nil {
		t.Fatal(err)
	}
	steps, closeSteps, err := newActivities(c, eventstest.New(t), blobs, sealer, catalog, nil, newLogger(c.Log, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer closeSteps()
	sealed, err := activities.SealServer(t.Context(), blobs.For("resp_1"), sealer, "resp_1", &responses.MCPTool{
		ServerLabel: "s", ServerURL: server.URL(), Allowed: responses.ToolFilter{Names: []string{"tool199"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	steps.Register(env)
	value, err := env.ExecuteActivity(activities.DiscoverName, activities.DiscoverInput{ResponseID: "resp_1", ItemID: "i", Server: sealed})
	if err != nil {
		t.Fatal(err)
	}
	var out activities.DiscoverResult
	if err := value.Get(&out); err != nil || out.Tools != 1 || len(out.Dropped) != 0 {
		t.Errorf("%d tools, dropped %v, error %v", out.Tools, out.Dropped, err)
	}
}

// Of the beats in a heartbeat timeout two may be lost, and a cancellation reaches a step within two seconds even without the event log.
func TestHeartbeatsFitTheTimeout(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{
		1500 * time.Millisecond: 500 * time.Millisecond, 3 * time.Second: time.Second, 10 * time.Second: 2 * time.Second, time.Minute: 2 * time.Second,
	} {
		if got := heartbeatEvery(timeout); got != want {
			t.Errorf("a timeout of %v gives beats every %v, want %v", timeout, got, want)
		}
	}
}
