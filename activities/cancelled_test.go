package activities

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"perdure/internal/blob"
	"perdure/internal/responses"
)

// An answer that came is kept, even if the worker has been told to stop meanwhile: nobody can ask for it again.
func TestAnswerOutlivesCancellation(t *testing.T) {
	t.Parallel()
	store, err := blob.Open(blob.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a := &Activities{Options: Options{Blobs: store}}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	result, err := a.packCall(ctx, MCPCallInput{ResponseID: "resp_1"}, &responses.MCPCall{ID: "i", Output: strings.Repeat("long ", 4000)})
	if err != nil || result.Item.Ref == "" {
		t.Errorf("result %+v, error %v", result, err)
	}
}

// A step that was cancelled while it used the store is handed back, and is no failure of the store.
func TestCancelledStorageIsNoFailure(t *testing.T) {
	t.Parallel()
	store, err := blob.Open(blob.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err = store.For("resp_1").Put(ctx, []byte("x"))
	if err := storageError(err); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// News reaches the steps of one response only, and none that is over.
func TestNudgeReachesRunningSteps(t *testing.T) {
	t.Parallel()
	a := &Activities{Options: Options{HeartbeatEvery: time.Hour}}
	// No beat can be sent here, so nothing but the registry is looked at: the heartbeats are over before they are nudged.
	ctx, stop := context.WithCancel(t.Context())
	stop()
	one, two, other := a.beat(ctx, "resp_1"), a.beat(ctx, "resp_1"), a.beat(ctx, "resp_2")
	for _, s := range []*step{one, two, other} {
		s.ended.Wait()
	}
	one.stop()
	a.running.nudge("resp_1")
	a.running.nudge("resp_1")
	if len(one.nudged) != 0 || len(two.nudged) != 1 || len(other.nudged) != 0 {
		t.Errorf("%d, %d and %d nudges", len(one.nudged), len(two.nudged), len(other.nudged))
	}
	two.stop()
	other.stop()
	if len(a.running.steps) != 0 {
		t.Errorf("%d responses are left", len(a.running.steps))
	}
}
