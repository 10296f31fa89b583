package starter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/model"
	"perdure/internal/modeltest"
	"perdure/internal/secret"
	"perdure/internal/webhook"
	"perdure/worker"
)

// The secrets of one request and its deployment. Each is long enough for a server's echo of it to be found.
const (
	pathCanary   = "canary-in-the-path-1f6a"
	queryCanary  = "canary in/the query?2b7c"
	tokenCanary  = "canary-authorization-3d8e"
	headerCanary = "canary-header-4c9f"
	modelCanary  = "canary-model-key-5e0a"
	keyCanary    = "pd_canary-api-key-6f1b"
)

func canariesIn(text string) []string {
	var found []string
	for _, c := range []string{pathCanary, queryCanary, tokenCanary, headerCanary, modelCanary, keyCanary} {
		for _, form := range []string{
			c, url.QueryEscape(c), url.PathEscape(c),
			base64.RawStdEncoding.EncodeToString([]byte(c)), base64.RawURLEncoding.EncodeToString([]byte(c)),
		} {
			if strings.Contains(text, form) {
				found = append(found, c)
				break
			}
		}
	}
	return found
}

// No secret of a request shows in the logs of the whole path at debug level, in the answer, in the history or in the blobs, whether
// all goes well or not, and whatever the MCP server repeats of what it got.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request, m mcptest.Message) {
		text := must(json.Marshal(fmt.Sprintf("%v %s %s", r.Header, r.URL, r.URL.Query())))
		mcptest.Result(`{"content":[{"type":"text","text":`+string(text)+`}]}`)(w, r, m)
	}
	tests := []struct {
		name    string
		method  string
		answer  mcptest.Answer
		replies []modeltest.Reply
		status  int
	}{
		{
			"all goes well", "tools/call", echo,
			[]modeltest.Reply{modeltest.Calls(modeltest.Call{Name: "docs__t", Arguments: "{}"}), modeltest.Text("answer")},
			200,
		},
		{
			"a call fails", "tools/call", mcptest.Cut("", ""),
			[]modeltest.Reply{modeltest.Calls(modeltest.Call{Name: "docs__t", Arguments: "{}"}), modeltest.Text("answer")},
			200,
		},
		{"discovery fails", "initialize", mcptest.Status(http.StatusUnauthorized), nil, 424},
		{
			"the model fails", "tools/call", echo,
			[]modeltest.Reply{modeltest.Status(400, nil, `{"error":{"message":"no good: `+modelCanary+`"}}`)},
			200,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mcp := mcptest.NewHostile()
			m := modeltest.New(tt.replies...)
			t.Cleanup(func() {
				for _, err := range []error{mcp.Close(), m.Close()} {
					if err != nil {
						t.Error(err)
					}
				}
			})
			mcp.On(tt.method, tt.answer)
			blobs := t.TempDir()
			r := serve(t, nil, func(o *Options) {
				o.Blobs = must(blob.Open(blob.Options{Dir: blobs}))
				o.Catalog = must(model.NewCatalog([]model.Provider{{Name: "p", BaseURL: m.URL(), APIKey: secret.New(modelCanary)}}, "p/m"))
				o.Keys = must(identity.NewKeyring(map[identity.KeyHash]identity.Principal{
					identity.HashKey(keyCanary): {Organization: "acme", User: "alice", Key: "laptop", Scopes: identity.AllScopes},
				}))
			})
			runWorker(t, r.options, r)
			body := string(must(json.Marshal(map[string]any{"input": strings.Repeat("long ", 4000), "tools": []map[string]any{{
				"type": "mcp", "server_label": "docs", "authorization": tokenCanary, "headers": map[string]string{"X-Key": headerCanary},
				"server_url": mcp.HTTP().URL + "/" + pathCanary + "?key=" + url.QueryEscape(queryCanary),
			}}})))
			got, err := post(t.Context(), r.url+"/v1/responses", body, "Authorization", "Bearer "+keyCanary)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tt.status {
				t.Errorf("HTTP %d with %s", got.status, got.body)
			}
			if request := mcp.Requests()[0]; request.Header.Get("Authorization") != "Bearer "+tokenCanary ||
				request.Header.Get("X-Key") != headerCanary {
				t.Errorf("the server got %v", request.Header)
			}
			log := r.log.String()
			for _, line := range []string{"run started", "level=DEBUG", "ExecuteActivity"} {
				if !strings.Contains(log, line) {
					t.Errorf("the log does not say %q, so it proves nothing", line)
				}
			}
			for place, text := range map[string]string{
				"log": log, "answer": got.body, "history": history(t, r, r.started(t)), "blobs": contents(t, blobs),
			} {
				if found := canariesIn(text); len(found) > 0 {
					t.Errorf("the %s shows %q", place, found)
				}
			}
		})
	}
}

// runWorker carries out the runs of a starter with the same options.
func runWorker(t *testing.T, o Options, r *rig) {
	t.Helper()
	logger := o.Logger
	mcp := must(mcpclient.New(mcpclient.Options{Network: o.Network, Logger: logger}))
	models := model.New(model.Options{Catalog: o.Catalog, Logger: logger})
	webhooks := must(webhook.New(webhook.Options{Logger: logger}))
	steps := must(activities.New(activities.Options{
		Blobs: o.Blobs, MCP: mcp, Models: models, Sealer: o.Sealer, Payloads: o.Payloads, Events: o.Events, Webhooks: webhooks, Logger: logger,
		HeartbeatEvery: 100 * time.Millisecond, ModelTimeout: time.Minute, MaxToolOutput: 100_000,
	}))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- worker.Run(ctx, r.temporal, steps, worker.Options{
			TaskQueue: o.TaskQueue, MaxActivities: 10, MaxWorkflowTasks: 10, StopGrace: time.Second, Logger: logger,
		})
	}()
	t.Cleanup(func() {
		stop()
		for _, err := range []error{<-ended, mcp.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		models.Close()
	})
}

// history is all that Temporal keeps of a run, with payloads as text.
func history(t *testing.T, r *rig, id string) string {
	t.Helper()
	var text strings.Builder
	events := r.temporal.GetWorkflowHistory(t.Context(), id, "", false, 0)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(event.String())
	}
	if !strings.Contains(text.String(), "docs") {
		t.Error("the history is not the run's")
	}
	return text.String()
}

// contents are the bytes of all files below dir.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		text.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if text.Len() == 0 {
		t.Error("there are no blobs, so they prove nothing")
	}
	return text.String()
}
