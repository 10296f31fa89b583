package starter

import (
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/timestamppb"

	"perdure/internal/blob"
	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/workflows"
)

// A response whose key is gone is listed by what is never encrypted.
func TestListedWithoutItsKey(t *testing.T) {
	t.Parallel()
	o, log := newOptions(t)
	o.Payloads = payload.NewDataConverter(payload.NewCodec(o.Sealer, true))
	s := newStarter(t.Context(), t.Context(), o)
	begin := time.Unix(1_800_000_000, 0)
	begun := &responses.Response{ID: "resp_1", Model: "p/m", Status: responses.ResponseInProgress, Metadata: map[string]string{"a": "b"}}
	members, _, err := s.memo(t.Context(), begun, "")
	if err != nil {
		t.Fatal(err)
	}
	other := payload.NewDataConverter(payload.NewCodec(must(secret.ParseKeyset(must(secret.GenerateKeyset()))), true))
	for name, dc := range map[string]converter.DataConverter{"its key": o.Payloads, "another": other} {
		plain := converter.GetDefaultDataConverter()
		entry, err := s.listEntry(t.Context(), &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "resp_1"},
			StartTime: timestamppb.New(begin), CloseTime: timestamppb.New(begin),
			Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{
				workflows.MemoResponse: must(payload.OfWorkflow(dc, o.Namespace, "resp_1").ToPayload(members[workflows.MemoResponse])),
			}},
			SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{
				workflows.Status.GetName(): must(plain.ToPayload(responses.ResponseCompleted)), workflows.Model.GetName(): must(plain.ToPayload("p/m")),
			}},
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if entry.ID != "resp_1" || entry.Status != "completed" || entry.Model != "p/m" || entry.CreatedAt != begin.Unix() {
			t.Errorf("%s: got %+v", name, entry)
		}
		if known := entry.Metadata["a"] == "b"; known != (name == "its key") || entry.Metadata == nil {
			t.Errorf("%s: got the metadata %v", name, entry.Metadata)
		}
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("it was told %d times, want once: %s", n, log)
	}
}

// A response whose value is lost, from the directory or the bucket, is listed by what Temporal has of it, and hides no other.
func TestListedWithoutItsValue(t *testing.T) {
	t.Parallel()
	o, log := newOptions(t)
	s := newStarter(t.Context(), t.Context(), o)
	long := strings.Repeat("long ", inlineResponse)
	begun := &responses.Response{
		ID: "resp_1", Model: "p/m", Status: responses.ResponseInProgress, Metadata: map[string]string{}, Instructions: &long,
	}
	members, _, err := s.memo(t.Context(), begun, "")
	if err != nil {
		t.Fatal(err)
	}
	memo := &commonpb.Memo{Fields: map[string]*commonpb.Payload{}}
	for name, member := range members {
		if memo.Fields[name], err = o.Payloads.ToPayload(member); err != nil {
			t.Fatal(err)
		}
	}
	status, err := converter.GetDefaultDataConverter().ToPayload(responses.ResponseInProgress)
	if err != nil {
		t.Fatal(err)
	}
	info := &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: begun.ID}, Memo: memo, StartTime: timestamppb.Now(),
		SearchAttributes: &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{workflows.Status.GetName(): status}},
	}
	if _, err := s.listEntry(t.Context(), info); err != nil {
		t.Fatalf("with its value: %v", err)
	}
	if err := o.Blobs.Remove(t.Context(), begun.ID); err != nil {
		t.Fatal(err)
	}
	s.Blobs = must(blob.Open(blob.Options{Dir: t.TempDir()})) // which remembers nothing
	entry, err := s.listEntry(t.Context(), info)
	if err != nil || entry.ID != begun.ID || entry.Status != responses.ResponseInProgress {
		t.Errorf("listed as %+v, %v", entry, err)
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("the log tells of %d responses that cannot be read", n)
	}
}
