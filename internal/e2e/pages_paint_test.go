package e2e

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"perdure/workflows"
)

var (
	paintRuns  = flag.Int("paint.runs", 0, "completed runs that there are while TestFirstPaint opens each page; 0: it does nothing")
	paintLoads = flag.Int("paint.loads", 9, "how often TestFirstPaint opens each page, with an empty cache and with a full one")
)

// TestFirstPaint is no test but a measurement: what a person waits for until a page begins to show, with many runs in the lists. "make
// bench-pages" prints it.
func TestFirstPaint(t *testing.T) {
	if *paintRuns <= 0 {
		t.Skip("-paint.runs is 0")
	}
	s := newPageStage(t, stackOptions{Plain: true})
	began := time.Now()
	s.addRuns(t, *paintRuns)
	t.Logf("%d runs made in %v", *paintRuns, time.Since(began).Round(time.Second))
	v := s.visitor(t, acmeAdmin)
	v.resize(t, 1280, 900)
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "page\tfirst answer ms\tfirst contentful paint ms: cached files\tworst\tempty cache\tworst")
	for _, c := range pageCases {
		if c.status != 0 || !slices.Contains(c.people(), acmeAdmin) {
			continue
		}
		address := s.url + s.path(t, c.path)
		v.visit(t, address) // the first one fills caches of the server, too
		var answers, cached, empty []float64
		for range *paintLoads {
			p := v.paint(t, address)
			answers, cached = append(answers, p.Answer), append(cached, p.Paint)
		}
		for range *paintLoads {
			v.do(t, "empty the cache", call(network.ClearBrowserCache, cdp.Empty{}))
			empty = append(empty, v.paint(t, address).Paint)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\n", c.path, median(answers), median(cached), slices.Max(cached), median(empty), slices.Max(empty))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nFirst contentful paint with %d runs, median and worst of %d loads:\n\n%s\n", *paintRuns, *paintLoads, &table)
}

// painting is when a page was there, in milliseconds since the person wanted it.
type painting struct{ Answer, Paint float64 }

func (v *visitor) paint(t *testing.T, address string) painting {
	t.Helper()
	v.visit(t, address)
	return evaluated[painting](t, v.browser, "wait for the first paint", `new Promise(done => {
		const look = () => {
			const p = performance.getEntriesByName('first-contentful-paint')[0]
			if (!p) return requestAnimationFrame(look)
			done({Answer: performance.getEntriesByType('navigation')[0].responseStart, Paint: p.startTime})
		}
		look()
	})`)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// people are those who get a page.
func (c pageCase) people() []person {
	if c.as == nil {
		return everyone
	}
	return c.as
}

// addRuns makes runs that have completed, as far as Temporal and lists know: with the search attributes and the memo of a run that really
// has, and without its steps.
func (s *pageStage) addRuns(t *testing.T, n int) {
	t.Helper()
	queue := "paint-" + uuid.NewString()
	// The stage's own client is lazy, and an eager start needs to know the server.
	c, err := client.DialContext(t.Context(), client.Options{HostPort: s.options.Temporal})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := sdkworker.New(c, queue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(func(workflow.Context) error { return nil }, workflow.RegisterOptions{Name: workflows.ResponseName})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	like, err := c.DescribeWorkflow(t.Context(), s.made["completed run"], "")
	if err != nil {
		t.Fatal(err)
	}
	memo := map[string]any{}
	for name, value := range like.Memo.GetFields() {
		memo[name] = converter.NewRawValue(value)
	}
	run := func(ctx context.Context, i int) error {
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: "resp_" + uuid.NewString(), TaskQueue: queue, Memo: memo, TypedSearchAttributes: like.TypedSearchAttributes, EnableEagerStart: true,
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		}, workflows.ResponseName)
		if err != nil {
			return fmt.Errorf("run %d: %w", i, err)
		}
		return nil
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(64)
	for i := range n {
		group.Go(func() error { return run(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	s.awaitListed(t, c, n)
}

// awaitListed waits until lists have all runs: visibility lags.
func (s *pageStage) awaitListed(t *testing.T, c client.Client, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	query := fmt.Sprintf("WorkflowType = '%s' AND %s = '%s' AND ExecutionStatus = 'Completed'", workflows.ResponseName, workflows.Organization.GetName(), acmeAdmin.organization)
	for {
		found, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: client.DefaultNamespace, Query: query})
		if err == nil && int(found.GetCount()) >= n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d runs are listed: %v", found.GetCount(), n, err)
		case <-time.After(pollEvery):
		}
	}
}
