package starter

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"perdure/internal/linktest"
	"perdure/internal/responses"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/workflows"
)

// serveOver is serve with a link between the starter and Temporal. The workers have Temporal for themselves.
func serveOver(t *testing.T, change ...func(*Options)) (*rig, *linktest.Link) {
	t.Helper()
	link := must(linktest.New(temporaldevtest.Address(t)))
	t.Cleanup(link.Close)
	r := serve(t, func(_ workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		return outcome(in, responses.ResponseCompleted), nil
	}, append([]func(*Options){func(o *Options) { o.Temporal = lazy(t, link.Address(), o.Logger) }}, change...)...)
	r.create(t, hello).response(t)
	return r, link
}

// heldStarts is Temporal, where nothing starts while the lock is held.
type heldStarts struct {
	client.Client
	sync.RWMutex
}

func (h *heldStarts) ExecuteWorkflow(
	ctx context.Context, o client.StartWorkflowOptions, name any, args ...any,
) (client.WorkflowRun, error) {
	h.RLock()
	defer h.RUnlock()
	return h.Client.ExecuteWorkflow(ctx, o, name, args...)
}

// flood sends n requests at once. All answers are in the channel, in the order in which they came.
func flood(t *testing.T, n int, key, url, body string) <-chan answer {
	t.Helper()
	out := make(chan answer, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			a, err := do(t.Context(), http.MethodPost, url+"/v1/responses", strings.NewReader(body), "Authorization", "Bearer "+key)
			if err != nil {
				t.Error(err)
			}
			out <- a
		})
	}
	go func() {
		all.Wait()
		close(out)
	}()
	return out
}

// TestTemporalHangs: of a flood while Temporal does not answer, a few requests wait and all others are refused at once; soon nothing
// waits any more; and once Temporal answers, everything is as before.
func TestTemporalHangs(t *testing.T) {
	t.Parallel()
	r, link := serveOver(t, func(o *Options) { o.Limits.ConcurrentStarts = 4 })
	id := r.create(t, hello).response(t).ID
	link.Hang()
	const size = 200
	answers := flood(t, size, apiKey, r.url, hello)
	for range size - 2 { // the key's share of the starts waits, which the channel would show
		a := <-answers
		if a.status == http.StatusTooManyRequests {
			refused(t, a, a.status, "too many runs of this API key are being started")
		} else {
			refused(t, a, http.StatusServiceUnavailable, "cannot be reached")
		}
	}
	awaitLog(t, r.log, "service is away")
	select {
	case a := <-answers:
		t.Errorf("a start that Temporal did not answer is over as soon as Temporal is away: HTTP %d with %s", a.status, a.body)
	default:
	}
	for _, request := range []struct{ method, path string }{
		{http.MethodPost, "/v1/responses"},
		{http.MethodGet, "/v1/responses/" + id},
		{http.MethodGet, "/v1/responses"},
		{http.MethodDelete, "/v1/agent/" + id},
		{http.MethodPost, "/v1/responses/" + id + "/cancel"},
		{http.MethodPost, "/v1/conversations"},
		{http.MethodGet, "/readyz"},
	} {
		refused(t, as(t, otherKey, request.method, r.url+request.path, hello), http.StatusServiceUnavailable, "cannot be reached")
	}
	if a := as(t, apiKey, http.MethodPost, r.url+countPath, hello); a.status != http.StatusOK {
		t.Errorf("what needs no Temporal: HTTP %d with %s", a.status, a.body)
	}
	if err := link.Restore(); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, r.log, "service is back")
	for a := range answers { // who waited has either outlasted it or been told that it is open what became of the run
		if a.status != http.StatusOK {
			refused(t, a, http.StatusServiceUnavailable, "may or may not have taken effect")
		}
	}
	r.create(t, hello).response(t)
	if a := as(t, apiKey, http.MethodGet, r.url+"/v1/responses/"+id, ""); a.status != http.StatusOK {
		t.Errorf("HTTP %d with %s", a.status, a.body)
	}
}

// TestTemporalSlow: a Temporal server that takes its time is asked for little at once, nothing queues up here, and a flood of one key
// leaves room for another.
func TestTemporalSlow(t *testing.T) {
	t.Parallel()
	starts := &heldStarts{}
	r, link := serveOver(t, func(o *Options) {
		o.Limits.ConcurrentStarts = 4
		starts.Client, o.Temporal = o.Temporal, starts
	})
	// An answer takes longer than one that nobody minds, and a probe far less than it may. Until all others are refused, those that have
	// the places keep them, however long that takes.
	link.Delay(200 * time.Millisecond)
	starts.Lock()
	release := sync.OnceFunc(starts.Unlock)
	defer release()
	const size = 100
	answers := flood(t, size, apiKey, r.url, `{"input":"hi","background":true}`)
	for range size - 2 {
		refused(t, <-answers, http.StatusTooManyRequests, "too many runs of this API key are being started")
	}
	release()
	others := flood(t, 2, otherKey, r.url, `{"input":"hi","background":true}`)
	for _, later := range []<-chan answer{answers, others} {
		for a := range later {
			if a.status != http.StatusOK {
				t.Errorf("HTTP %d with %s", a.status, a.body)
			}
		}
	}
	if strings.Contains(r.log.String(), "service is away") {
		t.Error("a slow server was taken for one that is away")
	}
	if n := strings.Count(r.log.String(), "run started"); n != 5 {
		t.Errorf("%d runs were started, want 5", n)
	}
}

// TestTemporalGoesWhileAsked: who asks after a response while Temporal goes away is told so, and soon.
func TestTemporalGoesWhileAsked(t *testing.T) {
	t.Parallel()
	r, link := serveOver(t)
	id := r.create(t, hello).response(t).ID
	for name, away := range map[string]func(){"hangs": link.Hang, "is down": link.Cut} {
		away()
		var all sync.WaitGroup
		for _, path := range []string{"/" + id, "?limit=1", "/" + id + "/input_items", "/" + id + "?stream=true"} {
			all.Go(func() {
				a, err := do(t.Context(), http.MethodGet, r.url+"/v1/responses"+path, http.NoBody, "Authorization", "Bearer "+apiKey)
				if err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
					t.Errorf("Temporal %s, %s: HTTP %d with %s, error %v", name, path, a.status, a.body, err)
				}
			})
		}
		all.Wait()
		if err := link.Restore(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "responses can be read", func() bool {
			return as(t, apiKey, http.MethodGet, r.url+"/v1/responses/"+id, "").status == http.StatusOK
		})
	}
}
