package starter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"perdure/internal/batch"
	"perdure/internal/blob"
	"perdure/internal/file"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/store"
	"perdure/workflows"
)

const (
	// linesAtOnce is how many requests are in memory at the same time, and collectAtOnce how many results.
	linesAtOnce   = 100
	collectAtOnce = 8
	// segmentBytes is the size from which on a part of the files takes no further line.
	segmentBytes = 4 << 20
	// maxResult is how many bytes a line of the files may have: 59 MiB. It fits into a part with what is there before it.
	maxResult = file.MaxAppend - segmentBytes - 1<<20
)

// BatchCollect writes what lines came to into the files of their batch, in parts of a size that can be read, and notes how far the batch is.
// What lines came to is asked of Temporal. How far the files are is what the database says, not the workflow: an attempt that is repeated,
// and a workflow that an operator has reset, go on where the files end.
func (k *Intake) BatchCollect(ctx context.Context, in workflows.BatchCollectInput) (workflows.BatchCollectResult, error) {
	if err := k.needDatabase(); err != nil {
		return workflows.BatchCollectResult{}, err
	}
	defer beating(ctx)()
	for {
		b, err := k.Store.Batch(ctx, in.Organization, in.BatchID)
		if err != nil || b.Done() >= in.Until {
			return workflows.BatchCollectResult{Progress: b.Progress}, finalOfFiles(ctx, err)
		}
		if b.Status.Ended() {
			return workflows.BatchCollectResult{}, temporal.NewNonRetryableApplicationError(
				"the batch has ended as "+string(b.Status)+": nothing can be added to its files", workflows.ErrTypeBatchFiles, nil)
		}
		s, err := k.segment(ctx, &b, in)
		if err == nil {
			err = k.appendSegment(ctx, &b, s)
		}
		if err != nil {
			return workflows.BatchCollectResult{}, finalOfFiles(ctx, err)
		}
	}
}

// lossAttempts is how often a step looks for what is missing before it is lost. With the waits between, that takes a minute and a half: a
// network file system may show a new file, or a new keyset, as late as that, and another worker may have it already.
const lossAttempts = 9

// mayAppear reports whether what could not be read may yet be read by a further attempt.
func mayAppear(ctx context.Context, err error) bool {
	var key *secret.UnknownKeyError
	return (errors.As(err, &key) || errors.Is(err, blob.ErrNotFound)) && activity.GetInfo(ctx).Attempt < lossAttempts
}

// finalOfFiles makes an error final that no further attempt would change: the batch, or what there is of its files, is gone. Its message
// is for the batch's owner.
func finalOfFiles(ctx context.Context, err error) error {
	var message string
	switch {
	case mayAppear(ctx, err):
		return err
	case errors.Is(err, file.ErrCorrupt):
		message = "the content of its files can no longer be read"
	case errors.Is(err, file.ErrPart):
		message = "a result cannot be a line of a file"
	case errors.Is(err, store.ErrNotFound):
		message = "the batch, or one of its files, is not there any more"
	default:
		return err
	}
	return temporal.NewNonRetryableApplicationError(message, workflows.ErrTypeBatchFiles, err)
}

// segment is what lines came to that follow those in the files of a batch.
type segment struct {
	output, failed [][]byte
	bytes          int
	progress       batch.Progress
}

// segment collects lines until there are enough of them for a part.
func (k *Intake) segment(ctx context.Context, b *batch.Batch, in workflows.BatchCollectInput) (*segment, error) {
	s := &segment{progress: b.Progress}
	for s.progress.Done() < in.Until {
		next := s.progress.Done() + 1
		lines, err := k.Files.Lines(ctx, in.Organization, in.File, next, min(in.Until-next+1, linesAtOnce))
		if err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			return nil, errors.New("the file of the batch has fewer lines than it had")
		}
		for some := range slices.Chunk(lines, collectAtOnce) {
			if err := k.collectLines(ctx, b, in, some, s); err != nil || s.full() {
				return s, err
			}
		}
	}
	return s, nil
}

// full reports whether there is enough for a part.
func (s *segment) full() bool { return s.bytes >= segmentBytes }

// collectLines adds what a few lines came to, as long as there is room.
func (k *Intake) collectLines(ctx context.Context, b *batch.Batch, in workflows.BatchCollectInput, lines []file.Line, s *segment) error {
	some := make([]collected, len(lines))
	group, each := errgroup.WithContext(ctx)
	for i, l := range lines {
		group.Go(func() (err error) {
			some[i], err = k.collectLine(each, b, in, l.Number, customID(l.Text))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, c := range some {
		if s.full() {
			return nil // the others are asked for again, with the next part
		}
		text, err := json.Marshal(c.Result)
		if err == nil && len(text) > maxResult {
			c.Result = batch.TooLarge(b.ID, lines[i].Number, c.CustomID, batch.ResponseID(b.ID, lines[i].Number), len(text))
			text, err = json.Marshal(c.Result)
		}
		if err != nil {
			return err
		}
		s.bytes += len(text)
		s.progress.Usage.Add(c.usage)
		if c.Succeeded() {
			s.progress.Completed++
			s.output = append(s.output, text)
		} else {
			s.progress.Failed++
			s.failed = append(s.failed, text)
		}
	}
	return nil
}

// appendSegment adds a segment to both files. It fails with store.ErrConflict if another attempt was faster, and is then to be repeated.
func (k *Intake) appendSegment(ctx context.Context, b *batch.Batch, s *segment) error {
	var add store.Segment
	add.Progress = s.progress
	for _, f := range []struct {
		id    string
		lines [][]byte
		part  *store.FilePart
	}{{b.OutputFile, s.output, &add.Output}, {b.ErrorFile, s.failed, &add.Errors}} {
		now, err := k.Store.File(ctx, b.Organization, f.id)
		if err != nil {
			return err
		}
		if *f.part, err = k.Files.Part(ctx, b.Organization, f.id, now.Parts+1, f.lines); err != nil {
			return err
		}
	}
	err := k.Store.AppendSegment(ctx, *b, add)
	if err != nil {
		k.Files.Discard(ctx, b.OutputFile, add.Output, err)
		k.Files.Discard(ctx, b.ErrorFile, add.Errors, err)
	}
	return err
}

// customID is the name that a line has for its request. The upload was checked to have one.
func customID(line []byte) string {
	var l struct {
		CustomID string `json:"custom_id"`
	}
	_ = json.Unmarshal(line, &l)
	return l.CustomID
}

// collected is a line of an output, and what it used.
type collected struct {
	batch.Result
	usage responses.Usage
}

// collectLine returns what a line came to.
func (k *Intake) collectLine(ctx context.Context, b *batch.Batch, in workflows.BatchCollectInput, number int, customID string) (collected, error) {
	unanswered := batch.CodeCancelled
	if in.Ending == batch.Expired {
		unanswered = batch.CodeExpired
	}
	if number >= in.Begun {
		return collected{Result: batch.Unanswered(b.ID, number, customID, unanswered)}, nil
	}
	id := batch.ResponseID(b.ID, number)
	var out workflows.Outcome
	err := k.Temporal.GetWorkflow(ctx, id, "").Get(ctx, &out)
	if hasEnded(err) && in.Ending != "" {
		// It was cancelled before it began, or somebody has deleted it.
		return collected{Result: batch.Unanswered(b.ID, number, customID, unanswered)}, nil
	}
	e := end{outcome: &out}
	if err != nil {
		if ctx.Err() != nil || temporalAway(err) {
			return collected{}, err
		}
		e, err = ended(err)
	}
	var c collected
	var status int
	var body json.RawMessage
	if err == nil {
		c.usage = e.outcome.Usage
		if e.outcome.Status == responses.ResponseCancelled && in.Ending != "" {
			c.Result = batch.Unanswered(b.ID, number, customID, unanswered)
			return c, nil
		}
		status, body, err = k.lineBody(ctx, b, id, e)
	}
	if isLost(err) && !mayAppear(ctx, err) {
		// This line alone. The log has what is missing; the file says that it is.
		k.Logger.WarnContext(ctx, "what a line of a batch came to cannot be read", "batch", b.ID, "line", number, "response", id, "error", err)
		status, body, err = k.lostLine(id)
	}
	c.Result = batch.Answered(b.ID, number, customID, status, body)
	return c, err
}

// lostLine is the answer of a line whose response can no longer be read.
func (k *Intake) lostLine(id string) (int, json.RawMessage, error) {
	e := responses.Error{
		Status: http.StatusBadGateway, Type: responses.ErrBadGateway, Message: "what is stored of the response " + id + " can no longer be read",
	}
	body, err := e.MarshalWire(k.ownDialect())
	return e.Status, body, err
}

// lineBody is what the request of a line is answered with: with a response, or with an error where there is none. A run that has failed is
// answered with its response, too, which says why, but with the status of a failure, so that it is among those that can be retried.
func (k *Intake) lineBody(ctx context.Context, b *batch.Batch, id string, e end) (int, json.RawMessage, error) {
	if e.shown != nil {
		shown := *e.shown
		if e.outcome.Error != nil && statusOfType[e.outcome.Error.Type] != 0 { // what the first step was refused with
			shown.Status, shown.Type = statusOfType[e.outcome.Error.Type], e.outcome.Error.Type
		}
		body, err := shown.MarshalWire(k.ownDialect())
		return shown.Status, body, err
	}
	status := http.StatusOK
	switch e.outcome.Status {
	case responses.ResponseFailed:
		status = http.StatusBadGateway
	case responses.ResponseCancelled:
		status = http.StatusConflict // somebody has cancelled this one response
	}
	begun, err := k.begunResponse(ctx, b.Organization, id)
	if err != nil {
		return 0, nil, err
	}
	if begun == nil {
		body, err := notAnswered(e.outcome).MarshalWire(k.ownDialect())
		return max(status, http.StatusBadGateway), body, err
	}
	response, err := k.complete(ctx, begun, e.outcome, nil)
	if err != nil {
		return 0, nil, err
	}
	wire, err := response.MarshalWire(k.ownDialect())
	if err != nil {
		return 0, nil, err
	}
	return status, bytes.TrimRight(wire, "\n"), nil
}

// statusOfType has the HTTP statuses of the errors with which requests are refused.
var statusOfType = map[string]int{
	responses.ErrInvalidRequest: http.StatusBadRequest, responses.ErrForbidden: http.StatusForbidden, responses.ErrNotFound: http.StatusNotFound,
	responses.ErrConflict: http.StatusConflict, responses.ErrPayloadTooLarge: http.StatusRequestEntityTooLarge,
	responses.ErrExternalConnector: http.StatusFailedDependency,
}

// notAnswered is the error of a run of which nothing else is known.
func notAnswered(out *workflows.Outcome) *responses.Error {
	e := &responses.Error{
		Status: http.StatusBadGateway, Type: responses.ErrBadGateway,
		Message: "the response of this request is not there any more: it was deleted, or cancelled before it began",
	}
	if out.Error != nil {
		e.Message = out.Error.Message
	}
	return e
}

// begunResponse is a response as it was when its run began; nil where there is none: the request was never accepted, or the response is
// deleted.
func (k *Intake) begunResponse(ctx context.Context, organization, id string) (*responses.Response, error) {
	d, err := k.Temporal.DescribeWorkflow(ctx, id, "")
	if hasEnded(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if owner, _ := d.TypedSearchAttributes.GetKeyword(workflows.Organization); owner != organization {
		return nil, nil
	}
	e, err := k.envelope(ctx, &d.WorkflowExecutionMetadata)
	if errors.Is(err, errNotAccepted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e.response, nil
}
