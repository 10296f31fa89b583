package starter

import (
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/workflows"
)

type (
	historyEvent  = *historypb.HistoryEvent
	executionInfo = *workflowpb.WorkflowExecutionInfo
)

// raw is what a step carries in Temporal, as it stands there.
type raw struct {
	input, result    *commonpb.Payloads
	failure, earlier *failurepb.Failure // of the last attempt, and of the one before
	child            string             // a workflow ID
}

// fold makes steps of the events of one execution, which come in order. It holds what steps carry only for one page of them, so that
// memory does not grow with what a run has said.
type fold struct {
	from    int // the first step of the page; negative: the page is the last one
	steps   []Step
	events  int
	byEvent map[int64]int  // positions of steps whose end has not come, by the event with which they begin
	byID    map[string]int // of activities, by Temporal's ID
	closed  time.Time      // when the execution ended

	earlier, later string // executions

	// only names a step by its event, 0 for none: what others carry is then not wanted.
	only int64
}

func newFold(from int) *fold {
	return &fold{from: from, byEvent: map[int64]int{}, byID: map[string]int{}}
}

// page returns the steps that were asked for, the position of the first, and how many there are.
func (f *fold) page() (steps []Step, from, total int) {
	total = len(f.steps)
	from = f.from
	if from < 0 {
		from = total - TimelineSteps
	}
	from = min(max(from, 0), total)
	return f.steps[from:min(from+TimelineSteps, total)], from, total
}

// begin adds a step.
func (f *fold) begin(e historyEvent, kind StepKind, state StepState) *Step {
	f.steps = append(f.steps, Step{Event: e.GetEventId(), Kind: kind, State: state, Start: e.GetEventTime().AsTime()})
	if f.from < 0 && len(f.steps) > TimelineSteps {
		f.steps[len(f.steps)-TimelineSteps-1].raw = raw{}
	}
	return &f.steps[len(f.steps)-1]
}

// moment adds a step that takes no time.
func (f *fold) moment(e historyEvent, kind StepKind, state StepState) *Step {
	s := f.begin(e, kind, state)
	s.End = s.Start
	return s
}

// keeps reports whether what a step carries is wanted.
func (f *fold) keeps(position int) bool {
	if f.only != 0 {
		return f.steps[position].Event == f.only
	}
	if f.from < 0 {
		return position >= len(f.steps)-TimelineSteps
	}
	return position >= f.from && position < f.from+TimelineSteps
}

func (f *fold) add(e historyEvent) {
	f.events++
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		f.scheduled(e)
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED,
		enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
		f.activity(e)
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED, enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
		f.workflowTask(e)
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED, enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
		enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
		enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, enumspb.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED:
		f.others(e)
	case enumspb.EVENT_TYPE_MARKER_RECORDED:
		f.marker(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		f.started(e)
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
		f.moment(e, StepCancellation, StepDone)
	default:
		f.ended(e)
	}
}

func (f *fold) started(e historyEvent) {
	a := e.GetWorkflowExecutionStartedEventAttributes()
	f.earlier = a.GetContinuedExecutionRunId()
	if f.earlier != "" {
		f.moment(e, StepContinued, StepDone)
		return
	}
	f.begin(e, StepAccepted, StepWaiting)
	f.steps[0].raw.input = a.GetInput()
}

// stepKinds has the activities that are steps.
var stepKinds = map[string]StepKind{
	activities.DiscoverName: StepDiscovery, activities.ModelTurnName: StepTurn, activities.MCPCallName: StepCall,
	workflows.RenderName: StepRender,
}

// marker takes in the only local activity: the step that makes a run of a request.
func (f *fold) marker(e historyEvent) {
	a := e.GetMarkerRecordedEventAttributes()
	if a.GetMarkerName() != localActivity {
		return
	}
	state := StepDone
	if a.GetFailure() != nil {
		state = StepFailed
	}
	s := f.moment(e, StepRequest, state)
	if f.keeps(len(f.steps) - 1) {
		s.raw.result, s.raw.failure = a.GetDetails()["result"], a.GetFailure()
	}
}

func (f *fold) scheduled(e historyEvent) {
	a := e.GetActivityTaskScheduledEventAttributes()
	kind, known := stepKinds[a.GetActivityType().GetName()]
	if !known {
		return
	}
	s := f.begin(e, kind, StepWaiting)
	s.MaxAttempts = a.GetRetryPolicy().GetMaximumAttempts()
	at := len(f.steps) - 1
	f.byEvent[s.Event], f.byID[a.GetActivityId()] = at, at
	if f.keeps(at) {
		s.raw.input = a.GetInput()
	}
}

// activity takes in what became of an activity. Temporal writes the start of an activity that may be tried again only when it is over.
func (f *fold) activity(e historyEvent) {
	scheduled := e.GetActivityTaskStartedEventAttributes().GetScheduledEventId() +
		e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId() + e.GetActivityTaskFailedEventAttributes().GetScheduledEventId() +
		e.GetActivityTaskTimedOutEventAttributes().GetScheduledEventId() + e.GetActivityTaskCanceledEventAttributes().GetScheduledEventId()
	at, ok := f.byEvent[scheduled] // one of these is set
	if !ok {
		return
	}
	s, kept := &f.steps[at], f.keeps(at)
	if a := e.GetActivityTaskStartedEventAttributes(); a != nil {
		s.State, s.Attempts, s.AttemptStart = StepRunning, a.GetAttempt(), e.GetEventTime().AsTime()
		if kept {
			s.raw.earlier = a.GetLastFailure()
		}
		return
	}
	s.End = e.GetEventTime().AsTime()
	delete(f.byEvent, scheduled)
	var result *commonpb.Payloads
	var failure *failurepb.Failure
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		s.State, result = StepDone, e.GetActivityTaskCompletedEventAttributes().GetResult()
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		s.State, failure = StepFailed, e.GetActivityTaskFailedEventAttributes().GetFailure()
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
		s.State, failure = StepFailed, e.GetActivityTaskTimedOutEventAttributes().GetFailure()
	default:
		s.State = StepCancelled
	}
	if kept {
		s.raw.result, s.raw.failure = result, failure
	}
}

// workflowTask takes in what workers make of the run itself.
func (f *fold) workflowTask(e historyEvent) {
	at := e.GetEventTime().AsTime()
	if len(f.steps) > 0 && f.steps[0].Kind == StepAccepted && f.steps[0].End.IsZero() {
		f.steps[0].State, f.steps[0].End = StepDone, at
	}
	var trouble string
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED:
		trouble = "a worker could not go on with the run; Temporal tries again. The worker's log has the reason."
	case enumspb.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
		// One that no worker took was only meant for a worker that is not there any more.
		if e.GetWorkflowTaskTimedOutEventAttributes().GetTimeoutType() != enumspb.TIMEOUT_TYPE_START_TO_CLOSE {
			return
		}
		trouble = "a worker took the run and was not heard of any more; another goes on."
	default:
		return
	}
	if last := len(f.steps) - 1; last >= 0 && f.steps[last].Kind == StepTrouble && f.steps[last].Error == trouble {
		f.steps[last].Count++
		f.steps[last].End = at
		return
	}
	s := f.moment(e, StepTrouble, StepFailed)
	s.Error, s.Count = trouble, 1
}

// others takes in what the run has to do with other workflows: answers to approval requests, webhooks and its conversation.
func (f *fold) others(e historyEvent) {
	if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil {
		kind := map[string]StepKind{workflows.ApprovalName: StepApproval, workflows.WebhookName: StepWebhook}[a.GetWorkflowType().GetName()]
		if kind == "" {
			return
		}
		s := f.begin(e, kind, StepRunning)
		s.raw.child = a.GetWorkflowId()
		if f.keeps(len(f.steps) - 1) {
			s.raw.input = a.GetInput()
		}
		f.byEvent[s.Event] = len(f.steps) - 1
		return
	}
	if e.GetSignalExternalWorkflowExecutionInitiatedEventAttributes() != nil {
		s := f.begin(e, StepConversation, StepRunning)
		f.byEvent[s.Event] = len(f.steps) - 1
		return
	}
	initiated := e.GetStartChildWorkflowExecutionFailedEventAttributes().GetInitiatedEventId() +
		e.GetChildWorkflowExecutionStartedEventAttributes().GetInitiatedEventId() +
		e.GetSignalExternalWorkflowExecutionFailedEventAttributes().GetInitiatedEventId() +
		e.GetExternalWorkflowExecutionSignaledEventAttributes().GetInitiatedEventId()
	at, ok := f.byEvent[initiated] // one of these is set
	if !ok {
		return
	}
	delete(f.byEvent, initiated)
	s := &f.steps[at]
	s.State, s.End = StepDone, e.GetEventTime().AsTime()
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
		s.State = StepFailed
		if s.Kind == StepApproval {
			s.Error = "the approval request was already answered"
		}
	case enumspb.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED:
		s.State, s.Error = StepFailed, "there is no such conversation any more"
	}
}

// runEnds has the events that end an execution.
var runEnds = map[enumspb.EventType]struct {
	state  StepState
	status string
}{
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:        {StepDone, responses.ResponseCompleted},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:           {StepFailed, responses.ResponseFailed},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:         {StepCancelled, responses.ResponseCancelled},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:        {StepFailed, responses.ResponseFailed},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:       {StepFailed, responses.ResponseFailed},
	enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: {StepHandedOn, responses.ResponseInProgress},
}

func (f *fold) ended(e historyEvent) {
	how, ok := runEnds[e.GetEventType()]
	if !ok {
		return
	}
	f.closed = e.GetEventTime().AsTime()
	for _, at := range f.byEvent { // nobody waits for these any more
		f.steps[at].State, f.steps[at].End = StepCancelled, f.closed
	}
	clear(f.byEvent)
	if f.steps[0].End.IsZero() {
		f.steps[0].State, f.steps[0].End = StepCancelled, f.closed
	}
	s := f.moment(e, StepEnd, how.state)
	s.Status = how.status
	s.raw.result = e.GetWorkflowExecutionCompletedEventAttributes().GetResult()
	s.raw.failure = e.GetWorkflowExecutionFailedEventAttributes().GetFailure()
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
		s.Error = "the run took too long and was stopped"
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
		s.Error = "the run was terminated by an operator"
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		f.later = e.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
	}
	if f.later == "" { // a failed execution, too, may have another after it
		f.later = e.GetWorkflowExecutionFailedEventAttributes().GetNewExecutionRunId()
	}
}

// endpointOf is the name of the endpoint in the workflow ID of a webhook.
func endpointOf(id string) string {
	_, rest, _ := strings.Cut(id, "/")
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		return rest[:i]
	}
	return rest
}
