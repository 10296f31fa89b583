package activities_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"perdure/activities"
	"perdure/internal/mcpclient"
	"perdure/internal/mcptest"
	"perdure/internal/responses"
)

const fourTools = `{"tools":[
	{"name":"read","description":"Reads.","inputSchema":{"type":"object", "x":1e0},"annotations":{"readOnlyHint":true}},
	{"name":"write","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":false}},
	{"name":"put","inputSchema":{"type":"object"},"annotations":{"idempotentHint":true}},
	{"name":"plain","inputSchema":{"type":"object"}},
	{"name":"broken","inputSchema":[]}]}`

func TestDiscoverFilters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		allowed responses.ToolFilter
		want    []string
	}{
		{"all", responses.ToolFilter{}, []string{"read", "write", "put", "plain"}},
		{"by name, in the server's order", responses.ToolFilter{Names: []string{"plain", "write"}}, []string{"write", "plain"}},
		{"read-only", responses.ToolFilter{ReadOnly: true}, []string{"read"}},
		{"both", responses.ToolFilter{Names: []string{"write"}, ReadOnly: true}, []string{}},
		{"a name that does not exist", responses.ToolFilter{Names: []string{"nothing"}}, []string{}},
		{"a name in another case", responses.ToolFilter{Names: []string{"READ"}}, []string{}},
		{"a broken tool", responses.ToolFilter{Names: []string{"broken"}}, []string{}},
	}
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/list", mcptest.Result(fourTools))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := activities.DiscoverInput{
				ResponseID: responseID, ItemID: "mcpl_1_0",
				Server: f.seal(&responses.MCPTool{ServerLabel: "s", ServerURL: server.URL(), Allowed: tt.allowed}),
			}
			got, err := execute[activities.DiscoverResult](f.env(), activities.DiscoverName, in)
			if err != nil {
				t.Fatal(err)
			}
			list := unpack[*responses.MCPListTools](f, got.Item)
			names := []string{}
			for _, tool := range list.Tools {
				names = append(names, tool.Name)
			}
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
			if list.ID != "mcpl_1_0" || list.ServerLabel != "s" || list.Error != nil || got.Tools != len(tt.want) {
				t.Errorf("item %+v, %d tools", list, got.Tools)
			}
			want := []activities.DroppedTool{{Name: "broken"}}
			ignore := cmpopts.IgnoreFields(activities.DroppedTool{}, "Reason")
			if diff := cmp.Diff(want, got.Dropped, ignore); diff != "" || got.Dropped[0].Reason == "" {
				t.Errorf("dropped %+v", got.Dropped)
			}
		})
	}
}

func TestDiscoverKeepsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/list", mcptest.Result(fourTools))
	got, err := execute[activities.DiscoverResult](f.env(), activities.DiscoverName,
		activities.DiscoverInput{ResponseID: responseID, ItemID: "i", Server: f.server("s", server.URL())})
	if err != nil {
		t.Fatal(err)
	}
	list := unpack[*responses.MCPListTools](f, got.Item)
	want := []responses.MCPToolInfo{
		{
			Name: "read", Description: "Reads.", InputSchema: responses.Schema(`{"type":"object", "x":1e0}`),
			Annotations: &responses.ToolAnnotations{ReadOnly: true},
		},
		{Name: "write", InputSchema: responses.Schema(`{"type":"object"}`), Annotations: &responses.ToolAnnotations{}},
		{Name: "put", InputSchema: responses.Schema(`{"type":"object"}`), Annotations: &responses.ToolAnnotations{Idempotent: true}},
		{Name: "plain", InputSchema: responses.Schema(`{"type":"object"}`)},
	}
	if diff := cmp.Diff(want, list.Tools); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(f.log.String(), "broken") {
		t.Error("the log does not name the tool that was left out")
	}
}

func TestDiscoverStoresLongListsByReference(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/list", mcptest.Result(`{"tools":[{"name":"t","inputSchema":{"x":"`+strings.Repeat("x", 20_000)+`"}}]}`))
	got, err := execute[activities.DiscoverResult](f.env(), activities.DiscoverName,
		activities.DiscoverInput{ResponseID: responseID, ItemID: "i", Server: f.server("s", server.URL())})
	if err != nil {
		t.Fatal(err)
	}
	if got.Item.Ref == "" || got.Item.JSON != nil {
		t.Errorf("an item of 20 KB is inline")
	}
	if list := unpack[*responses.MCPListTools](f, got.Item); len(list.Tools) != 1 {
		t.Errorf("%d tools", len(list.Tools))
	}
}

func TestDiscoverErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer mcptest.Answer // to initialize
		want   failure
	}{
		{"unauthorized", mcptest.Status(http.StatusUnauthorized), failure{Final: true, Message: "(stage auth): it answered HTTP 401"}},
		{"not found", mcptest.Status(http.StatusNotFound), failure{Final: true, Message: "(stage status): it answered HTTP 404"}},
		{"redirect", mcptest.Status(http.StatusFound, "Location", "/elsewhere"), failure{Final: true, Message: "(stage status)"}},
		{"not MCP", mcptest.Body(http.StatusOK, "text/html", "<html>"), failure{Final: true, Message: "(stage protocol)"}},
		{"unavailable", mcptest.Status(http.StatusServiceUnavailable), failure{Message: "(stage status): it answered HTTP 503"}},
		{
			"rate limited", mcptest.Status(http.StatusTooManyRequests, "Retry-After", "7"),
			failure{Delay: 7 * time.Second, Message: "(stage status): it answered HTTP 429"},
		},
		{
			"asks for too much patience", mcptest.Status(http.StatusServiceUnavailable, "Retry-After", "86400"),
			failure{Delay: 5 * time.Minute, Message: "HTTP 503"},
		},
		{"broken connection", mcptest.Cut("", ""), failure{Message: "(stage connect)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, nowhere)
			server := closed(t, mcptest.NewHostile())
			server.On("initialize", tt.answer)
			server.On("server/discover", tt.answer)
			_, err := execute[activities.DiscoverResult](f.env(), activities.DiscoverName,
				activities.DiscoverInput{ResponseID: responseID, ItemID: "i", Server: f.server("docs", server.URL())})
			got := failureOf(t, err)
			tt.want.Type = activities.ErrTypeDiscovery
			if !strings.HasPrefix(got.Message, `MCP server "docs" could not be initialized (stage `) ||
				!strings.Contains(got.Message, tt.want.Message) {
				t.Errorf("message %q, want %q in it", got.Message, tt.want.Message)
			}
			tt.want.Message = got.Message
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDiscoverTimeoutMayPass(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere, func(o *activities.Options) {
		o.MCP = newMCP(t, mcpclient.Options{ListTimeout: 200 * time.Millisecond})
	})
	server := closed(t, mcptest.NewHostile())
	server.On("tools/list", mcptest.Silent())
	_, err := execute[activities.DiscoverResult](f.env(), activities.DiscoverName,
		activities.DiscoverInput{ResponseID: responseID, ItemID: "i", Server: f.server("s", server.URL())})
	got := failureOf(t, err)
	if got.Type != activities.ErrTypeDiscovery || got.Final || !strings.Contains(got.Message, "(stage timeout)") {
		t.Errorf("got %+v", got)
	}
}

func TestDiscoverIsHandedBackWhenItsWorkerStops(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	server.On("tools/list", mcptest.Silent())
	in := activities.DiscoverInput{ResponseID: responseID, ItemID: "i", Server: f.server("s", server.URL())}

	// The step is then for another worker, and not a failure of the server.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		_, err := execute[activities.DiscoverResult](f.envUnder(ctx), activities.DiscoverName, in)
		done <- err
	}()
	if err := server.Await(t.Context(), "tools/list", 1); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error %v, want the cancellation", err)
	}
}

func TestEndpointOpensOnlyForItsResponseAndLabel(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	server := closed(t, mcptest.NewHostile())
	sealed := f.server("s", server.URL())
	relabelled := sealed
	relabelled.Label = "other"
	for name, in := range map[string]activities.DiscoverInput{
		"another response": {ResponseID: "resp_2", ItemID: "i", Server: sealed},
		"another label":    {ResponseID: responseID, ItemID: "i", Server: relabelled},
	} {
		_, err := execute[activities.DiscoverResult](f.env(), activities.DiscoverName, in)
		if got := failureOf(t, err); got.Type != activities.ErrTypeBroken || !got.Final {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestSealServerDoesNotRepeatABadURL(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	tool := &responses.MCPTool{ServerLabel: "s", ServerURL: "http://h/%zz?token=hidden"}
	_, err := activities.SealServer(t.Context(), f.blobs, f.sealer, responseID, tool)
	if err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error %v", err)
	}
}

func TestNewAsksForEverything(t *testing.T) {
	t.Parallel()
	full := setup(t, nowhere).options
	for name, change := range map[string]func(*activities.Options){
		"Blobs":          func(o *activities.Options) { o.Blobs = nil },
		"MCP":            func(o *activities.Options) { o.MCP = nil },
		"Models":         func(o *activities.Options) { o.Models = nil },
		"Sealer":         func(o *activities.Options) { o.Sealer = nil },
		"Webhooks":       func(o *activities.Options) { o.Webhooks = nil },
		"Logger":         func(o *activities.Options) { o.Logger = nil },
		"HeartbeatEvery": func(o *activities.Options) { o.HeartbeatEvery = 0 },
		"ModelTimeout":   func(o *activities.Options) { o.ModelTimeout = 0 },
		"MaxToolOutput":  func(o *activities.Options) { o.MaxToolOutput = 0 },
	} {
		o := full
		change(&o)
		if _, err := activities.New(o); err == nil {
			t.Errorf("without %s: no error", name)
		}
	}
	if _, err := activities.New(full); err != nil {
		t.Error(errors.New("complete options are refused"), err)
	}
}
