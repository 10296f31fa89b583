package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/testing/protocmp"

	"perdure/internal/modeltest"
	"perdure/internal/temporaldev/temporaldevtest"
)

const (
	floodSize = 120
	// floodSlots is how many steps the worker makes at the same time.
	floodSlots = 2
	// queueWithin bounds how long a busy machine may take to start the flood.
	queueWithin = 60 * time.Second
)

// TestFloodStarvesNobody: while an organization's flood of background runs waits for a worker, what comes later of others, and what
// somebody waits for, is done before most of it.
func TestFloodStarvesNobody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	model := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		if r.N < floodSlots {
			return modeltest.Text("done").Hold(release)
		}
		return modeltest.Text("done")
	})
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	s := ownStack(t, stackOptions{Temporal: temporaldevtest.Address(t), Model: model.URL(), Settings: fmt.Sprintf(`
worker:
  max_concurrent_activities: %d
webhooks:
  - {name: ops, url: "%s", secret: whsec_cmVwbGFjZS1tZS13aXRoLTI0LXJhbmRvbS1ieXRlcw==, organizations: [umbrella]}
`, floodSlots, hook.URL)})
	ids := s.floods(t, `{"input": "flood", "background": true}`)
	s.awaitQueue(t, floodSize-floodSlots)
	later := map[string]<-chan result{
		"another's, somebody waits": s.sendLater(t, s.url, otherKey, `{"input": "another's, somebody waits"}`),
		"own, somebody waits":       s.sendLater(t, s.url, apiKey, `{"input": "own, somebody waits"}`),
	}
	a, err := send(t.Context(), http.MethodPost, s.url+"/v1/responses", otherKey, `{"input": "another's, in the background", "background": true}`)
	if err != nil {
		t.Fatal(err)
	}
	other := a.decode(t).ID
	s.awaitQueue(t, floodSize-floodSlots+3)
	close(release)
	for name, r := range later {
		if got := (<-r).must(t).decode(t); got.Status != "completed" {
			t.Errorf("%s: %s", name, got.Status)
		}
	}
	for _, id := range ids {
		s.awaitStatus(t, id, "completed")
	}
	order := requested(model)
	t.Logf("the model was asked: %v", order[:20])
	// Two steps were under way, and as many may have been handed to the worker already.
	for what, most := range map[string]int{"another's, somebody waits": 6, "own, somebody waits": 6, "another's, in the background": 10} {
		if at := slices.Index(order, what); at < 0 || at >= most {
			t.Errorf("the request of the run %q is number %d of %d, want it among the first %d", what, at, len(order), most)
		}
	}
	s.checkPriorities(t, ids[0], other)
}

// floods starts the runs of a flood, a few at a time, and returns the IDs of their responses.
func (s *stack) floods(t *testing.T, body string) []string {
	t.Helper()
	ids := make([]string, floodSize)
	var all sync.WaitGroup
	turns := make(chan struct{}, 8)
	for i := range ids {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			a, err := send(t.Context(), http.MethodPost, s.url+"/v1/responses", apiKey, body)
			if err != nil || a.status != http.StatusOK {
				t.Errorf("HTTP %d, error %v: %s", a.status, err, a.body)
				return
			}
			ids[i] = a.decode(t).ID
		})
	}
	all.Wait()
	return ids
}

// awaitQueue waits until n steps wait for a worker.
func (s *stack) awaitQueue(t *testing.T, n int64) {
	t.Helper()
	deadline := time.After(queueWithin)
	for {
		d, err := s.temporal.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{
			Namespace: client.DefaultNamespace, TaskQueue: &taskqueuepb.TaskQueue{Name: s.queue},
			TaskQueueType: enumspb.TASK_QUEUE_TYPE_ACTIVITY, ReportStats: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		got := d.GetStats().GetApproximateBacklogCount()
		if got >= n {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d steps wait for a worker after %v, want %d", got, queueWithin, n)
		case <-time.After(pollEvery):
		}
	}
}

// requested returns what the model was asked, in order.
func requested(model *modeltest.Server) []string {
	var asked []string
	for _, r := range model.Requests() {
		asked = append(asked, r.Last().Content)
	}
	return asked
}

// checkPriorities: every workflow of a tenant has the tenant's fairness key, its children as well.
func (s *stack) checkPriorities(t *testing.T, mine, others string) {
	t.Helper()
	for id, want := range map[string]*commonpb.Priority{
		mine:                    {PriorityKey: 4, FairnessKey: organization},
		others:                  {PriorityKey: 4, FairnessKey: "umbrella"},
		"webhook/ops/" + others: {PriorityKey: 4, FairnessKey: "umbrella"},
	} {
		d, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, d.GetWorkflowExecutionInfo().GetPriority(), protocmp.Transform()); diff != "" {
			t.Errorf("priority of %s (-want +got):\n%s", id, diff)
		}
	}
}
