package starter

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

// TimelineSteps is how many steps a page of a [Timeline] has at most.
const TimelineSteps = 100

// TimelinePage says which steps of a run are wanted. The zero value is the page on which something happens: the first of a run that has
// ended, the last of one under way.
type TimelinePage struct {
	// Execution is one of those that a run with a long history is made of: a run ID of Temporal's.
	Execution string
	// From is the position of the first step in the execution; negative means the last page.
	From int
}

// Timeline is what happened in a run, in order, as members of its organization may see it. It is made of the histories that Temporal has
// of the run, and of what Temporal knows of the steps under way; there is no other record of it.
type Timeline struct {
	// Execution is the one whose steps are shown, and Earlier and Later are its neighbors; they are empty where there is none.
	Execution, Earlier, Later string
	Steps                     []Step
	// From is the position of the first of Steps among the Total steps of the execution.
	From, Total int
	Running     bool
	// Gone is set when Temporal has no history any more of the execution, and Cut when it is longer than what is read of it.
	Gone, Cut bool
	// Stuck says why the run itself does not go on, where that is known; it is empty otherwise.
	Stuck string
	// Version changes when anything of this does.
	Version string
}

// Group is a step, or several that went on at the same time.
type Group struct {
	Steps      []Step
	Start, End time.Time // End is zero while a step goes on
}

// Groups returns the steps with those together that overlap in time.
func (t *Timeline) Groups() []Group {
	var groups []Group
	for _, step := range t.Steps {
		last := len(groups) - 1
		if last >= 0 && step.parallel() && groups[last].Steps[0].parallel() && groups[last].reaches(step.Start) {
			groups[last].add(step)
			continue
		}
		groups = append(groups, Group{Steps: []Step{step}, Start: step.Start, End: step.End})
	}
	return groups
}

// reaches reports whether the group was going on at a time.
func (g *Group) reaches(at time.Time) bool { return g.End.IsZero() || at.Before(g.End) }

func (g *Group) add(s Step) {
	g.Steps = append(g.Steps, s)
	if s.End.IsZero() || g.End.IsZero() {
		g.End = time.Time{}
	} else if s.End.After(g.End) {
		g.End = s.End
	}
}

// timelineAsked bounds how long a timeline is gathered.
const timelineAsked = 20 * time.Second

// Timeline returns what happened in a run. What cannot be read of it is left out, and the steps that lack something say so. Its error is
// a 404 for a run that the caller may not see, or one that is not stored.
func (s *Starter) Timeline(ctx context.Context, who identity.Principal, id string, page TimelinePage) (*Timeline, error) {
	if err := s.checkTemporal(); err != nil {
		return nil, err
	}
	if _, err := s.locate(ctx, who, id); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timelineAsked)
	defer cancel()
	now, err := s.Temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return nil, s.timelineError(id, err)
	}
	latest := now.GetWorkflowExecutionInfo()
	shown := page.Execution
	if shown == "" {
		if shown, err = s.startOf(ctx, latest, page); err != nil {
			return nil, err
		}
		if page.From == 0 && latest.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			page.From = -1
		}
	}
	t := &Timeline{
		Execution: shown,
		Running:   latest.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
		Version:   versionOf(now),
	}
	fold := newFold(page.From)
	t.Cut, err = s.readHistory(ctx, id, shown, fold.add)
	var gone *serviceerror.NotFound
	var invalid *serviceerror.InvalidArgument
	switch {
	case errors.As(err, &invalid), errors.As(err, &gone) && fold.events == 0:
		t.Gone = true
		return t, nil
	case err != nil:
		return nil, err
	}
	if shown == latest.GetExecution().GetRunId() {
		fold.underWay(now)
		t.Stuck = fold.stuck(now)
	}
	t.Earlier, t.Later = fold.earlier, fold.later
	t.Steps, t.From, t.Total = fold.page()
	s.fill(ctx, id, t.Steps)
	s.askWebhooks(ctx, t.Steps)
	return t, nil
}

// startOf returns the execution with which a run is shown that is asked for as a whole.
func (s *Starter) startOf(ctx context.Context, latest executionInfo, page TimelinePage) (string, error) {
	id, run := latest.GetExecution().GetWorkflowId(), latest.GetExecution().GetRunId()
	if page.From < 0 || latest.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return run, nil
	}
	begin, err := s.historyPage(ctx, id, run, nil, 1)
	if err != nil || len(begin.GetHistory().GetEvents()) == 0 {
		return run, ignoreMissing(err)
	}
	started := begin.GetHistory().GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	if started.GetContinuedExecutionRunId() == "" {
		return run, nil
	}
	// The history of the first execution is kept for less long than that of the last.
	if _, err = s.historyPage(ctx, id, started.GetFirstExecutionRunId(), nil, 1); hasEnded(err) {
		return run, nil
	}
	return started.GetFirstExecutionRunId(), err
}

func ignoreMissing(err error) error {
	if hasEnded(err) {
		return nil
	}
	return err
}

func (s *Starter) timelineError(id string, err error) error {
	var invalid *serviceerror.InvalidArgument // such as an execution whose name is none
	if hasEnded(err) || errors.As(err, &invalid) {
		return responseNotFound(id)
	}
	return err
}

const (
	// historyEvents bounds how many events of an execution are read. Temporal ends executions with longer histories unless it is told
	// otherwise.
	historyEvents = 52_000
	historyAtOnce = 1000
)

// readHistory passes the events of an execution on. It returns whether there are more than are read.
func (s *Starter) readHistory(ctx context.Context, id, run string, add func(historyEvent)) (cut bool, err error) {
	var token []byte
	for read := 0; ; {
		page, err := s.historyPage(ctx, id, run, token, historyAtOnce)
		if err != nil {
			return false, err
		}
		for _, e := range page.GetHistory().GetEvents() {
			if read++; read > historyEvents {
				return true, nil
			}
			add(e)
		}
		if token = page.GetNextPageToken(); len(token) == 0 {
			return false, nil
		}
	}
}

func (s *Starter) historyPage(ctx context.Context, id, run string, token []byte, most int32) (*workflowservice.GetWorkflowExecutionHistoryResponse, error) {
	ctx, over := s.asking(ctx)
	defer over()
	return s.Temporal.WorkflowService().GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{
		Namespace: s.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: run}, MaximumPageSize: most, NextPageToken: token,
	})
}

// TimelineVersion returns what [Timeline.Version] is now, at the cost of a single question to Temporal.
func (s *Starter) TimelineVersion(ctx context.Context, who identity.Principal, id string) (string, error) {
	if err := s.checkTemporal(); err != nil {
		return "", err
	}
	var now *workflowservice.DescribeWorkflowExecutionResponse
	var both errgroup.Group
	both.Go(func() error { _, err := s.locate(ctx, who, id); return err })
	both.Go(func() (err error) {
		now, err = s.Temporal.DescribeWorkflowExecution(ctx, id, "")
		return s.timelineError(id, err)
	})
	if err := both.Wait(); err != nil {
		return "", err
	}
	return versionOf(now), nil
}

// versionOf tells states of a run apart by what is seen in a timeline.
func versionOf(now *workflowservice.DescribeWorkflowExecutionResponse) string {
	info := now.GetWorkflowExecutionInfo()
	h := fnv.New64a()
	fmt.Fprintln(h, info.GetExecution().GetRunId(), info.GetHistoryLength(), info.GetStatus(), now.GetPendingWorkflowTask().GetAttempt())
	pending := slices.Clone(now.GetPendingActivities())
	slices.SortFunc(pending, byActivityID)
	for _, a := range pending {
		fmt.Fprintln(h, a.GetActivityId(), a.GetState(), a.GetAttempt(), a.GetLastFailure().GetMessage(), a.GetPaused())
	}
	return fmt.Sprintf("%x", h.Sum64())
}

// isRunning reports whether a response with this status goes on.
func isRunning(status string) bool {
	return status == responses.ResponseQueued || status == responses.ResponseInProgress
}
