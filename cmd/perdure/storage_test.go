package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"perdure/config"
	"perdure/internal/blob"
	"perdure/internal/payload"
	"perdure/internal/temporaldev/temporaldevtest"
)

// What Temporal itself would refuse goes through every client: inputs, results of steps and of runs, signals, memos. It is encrypted like
// all else, the codec endpoint shows it, and it goes with the workflow.
func TestLargePayloads(t *testing.T) {
	t.Parallel()
	for name, encrypt := range map[string]bool{"plain": false, "encrypted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config.Default()
			c.Data.Dir = t.TempDir()
			c.Temporal.Address, c.Temporal.Namespace = temporaldevtest.Address(t), client.DefaultNamespace
			c.Encryption.Payloads = encrypt
			logger := newLogger(c.Log, io.Discard)
			sealer := must(openSealer(c, logger))
			blobs := must(openBlobs(c, sealer))
			p := newPayloads(c.Encryption, sealer, blobs)
			temporal := must(newTemporalClient(client.Options{}, c.Temporal, p, logger))
			t.Cleanup(temporal.Close)

			id := "large-" + uuid.NewString()
			runLarge(t, temporal, id)
			history := readHistory(t, temporal, p, blobs, id)
			checkCodecShows(t, p, history.stored)
			kept := files(t, c.BlobDir())
			if len(kept) < 4 || history.bytes > 20_000 {
				t.Errorf("%d values are kept, and %d bytes are in the history", len(kept), history.bytes)
			}
			for _, path := range kept {
				if data := must(os.ReadFile(path)); bytes.Contains(data, []byte("canary")) == encrypt {
					t.Errorf("%s begins with %.40q", path, data)
				}
			}
			if err := blobs.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if left := files(t, c.BlobDir()); len(left) != 0 {
				t.Errorf("%v are left", left)
			}
		})
	}
}

const largeBytes = 3_000_000

// large is different for each use, so that none stands for another.
func large(use string) string { return use + strings.Repeat(" canary", largeBytes/7) }

// runLarge runs a workflow that takes and returns what is large, in every way.
func runLarge(t *testing.T, temporal client.Client, id string) {
	t.Helper()
	// Encoding so much takes long enough, with the race detector, for the SDK to take the workflow for stuck.
	w := worker.New(temporal, id, worker.Options{DeadlockDetectionTimeout: time.Minute})
	w.RegisterActivityWithOptions(func(s string) (string, error) { return large("step " + s[:5]), nil }, activity.RegisterOptions{Name: "step"})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in string) (string, error) {
		var signal, step string
		workflow.GetSignalChannel(ctx, "signal").Receive(ctx, &signal)
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		if err := workflow.ExecuteActivity(ctx, "step", in+signal).Get(ctx, &step); err != nil {
			return "", err
		}
		return large("result " + step[:10]), nil
	}, workflow.RegisterOptions{Name: "large"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	run, err := temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: id}, "large", large("input"))
	if err != nil {
		t.Fatal(err)
	}
	if err := temporal.SignalWorkflow(t.Context(), id, "", "signal", large("signal")); err != nil {
		t.Fatal(err)
	}
	var result string
	if err := run.Get(t.Context(), &result); err != nil || result != large("result step input") {
		t.Fatalf("the result is %.40q with %d bytes, %v", result, len(result), err)
	}
}

// shown is what a client and Temporal itself have of a history.
type shown struct {
	bytes  int
	stored *commonpb.Payload // the input, as it is stored
}

func readHistory(t *testing.T, temporal client.Client, p *payloads, blobs *blob.Stores, id string) shown {
	t.Helper()
	// As the starter reads a run's input.
	first := must(temporal.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next())
	dc := payload.OfWorkflow(payload.NewDataConverter(p.codec), client.DefaultNamespace, id)
	fetched := must(payload.Fetch(t.Context(), blobs, first.GetWorkflowExecutionStartedEventAttributes().GetInput()))
	var input string
	if err := dc.FromPayloads(fetched, &input); err != nil || input != large("input") {
		t.Errorf("a reader of the history gets %.40q, %v", input, err)
	}
	// As it is, to a client without the net.
	bare := must(temporal.WorkflowService().GetWorkflowExecutionHistory(t.Context(), &workflowservice.GetWorkflowExecutionHistoryRequest{
		Namespace: client.DefaultNamespace, Execution: &commonpb.WorkflowExecution{WorkflowId: id},
	}))
	stored := bare.GetHistory().GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
	return shown{bytes: proto.Size(bare.GetHistory()), stored: stored}
}

// checkCodecShows asks the codec endpoint as Temporal's Web UI does.
func checkCodecShows(t *testing.T, p *payloads, stored *commonpb.Payload) {
	t.Helper()
	handler := must(codecHandler(p))
	body := must(protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{stored}}))
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/codec/decode", bytes.NewReader(body)))
	var decoded commonpb.Payloads
	if err := protojson.Unmarshal(answer.Body.Bytes(), &decoded); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("HTTP %d with %.200s: %v", answer.Code, answer.Body, err)
	}
	var input string
	if err := converter.GetDefaultDataConverter().FromPayload(decoded.GetPayloads()[0], &input); err != nil || input != large("input") {
		t.Errorf("the codec endpoint shows %.40q, %v", input, err)
	}
}

// Who has another store cannot read it, and no tenant's claim opens without the owner's values.
func TestClaimOfALostValue(t *testing.T) {
	t.Parallel()
	blobs := must(blob.Open(blob.Options{Dir: t.TempDir()}))
	driver := payload.NewStorage(blobs).Drivers[0]
	claims := must(driver.Store(converter.StorageDriverStoreContext{
		Context: t.Context(), Target: converter.StorageDriverWorkflowInfo{WorkflowID: "resp_1"},
	}, []*commonpb.Payload{{Data: []byte("x")}}))
	got := must(driver.Retrieve(converter.StorageDriverRetrieveContext{Context: t.Context()}, claims))
	if string(got[0].GetData()) != "x" {
		t.Errorf("got %v", got)
	}
	claims[0].ClaimData["owner"] = "resp_2"
	if _, err := driver.Retrieve(converter.StorageDriverRetrieveContext{Context: t.Context()}, claims); err == nil {
		t.Error("a claim on another workflow was honoured")
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	return must(filepath.Glob(filepath.Join(dir, "default", "*", "*", "*", "*")))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
