package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"perdure/config"
	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/logtest"
	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
	"perdure/internal/oauthtest"
	"perdure/internal/secret"
	"perdure/internal/temporaldev/temporaldevtest"
	"perdure/starter"
	"perdure/worker"
)

// deployed is an API and a worker with a database, wired as the commands wire them.
type deployed struct {
	url         string
	config      config.Config
	connections *connection.Service
	log         *logtest.Buffer
	history     func(id string) string
}

var (
	ada = member("ada", identity.Admin)
	ann = member("ann", identity.Member)
	bob = member("bob", identity.Member)
)

func member(user string, role identity.Role) connection.Caller {
	return connection.Caller{Principal: identity.Principal{Organization: "acme", User: user, Key: user, Role: role, Scopes: identity.AllScopes}}
}

// deploy runs everything for a model.
func deploy(t *testing.T, m *modeltest.Server) *deployed {
	t.Helper()
	d := &deployed{log: &logtest.Buffer{}}
	logger := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := config.Default()
	c.Data.Dir, c.API.Dialect = t.TempDir(), "openai"
	c.HTTP.PublicURL = "https://agents.example.com"
	c.Network.AllowOrigins = []string{"http://127.0.0.1:*"}
	c.Models.Providers = map[string]config.Provider{"p": {BaseURL: m.URL(), Models: []string{"m"}}}
	c.Models.Default = "p/m"
	c.Temporal.Address, c.Temporal.Namespace = temporaldevtest.Address(t), "default"
	c.Temporal.TaskQueue = "connections-" + strings.ToLower(t.Name())
	for _, who := range []connection.Caller{ada, ann, bob} {
		c.Auth.APIKeys = append(c.Auth.APIKeys, config.APIKey{
			Name: who.User, Key: secret.New("key-of-" + who.User), Organization: who.Organization, User: who.User, Role: string(who.Role),
		})
	}
	d.config = c
	sealer := must(openSealer(c, logger))
	blobs := must(openBlobs(c, sealer))
	temporal := must(dialTemporal(c.Temporal, newPayloads(c.Encryption, sealer, blobs), logger))
	t.Cleanup(temporal.Close)
	must(registerSearchAttributes(t.Context(), temporal, namespaceOf(c.Temporal)))
	log := must(connectEvents(t.Context(), c, blobs, sealer, logger))
	t.Cleanup(func() { log.Close() })
	connections, closeConnections, err := openConnections(t.Context(), c, sealer, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeConnections)
	d.connections = connections
	must(connections.Store.Bootstrap(t.Context(), "acme", ada.User))
	for _, who := range []connection.Caller{ann, bob} {
		must(connections.Store.AddMember(t.Context(), ada.Acts(""), who.User, "", who.Role))
	}
	if err := connections.Store.UpdateOrganization(t.Context(), ada.Acts(""), identity.OrganizationSettings{MembersMayAddConnectors: true}); err != nil {
		t.Fatal(err)
	}
	catalog := must(newCatalog(c.Models))
	steps, closeSteps, err := newActivities(c, log, blobs, sealer, catalog, connections, logger)
	if err != nil {
		t.Fatal(err)
	}
	workerOpts := must(workerOptions(c, logger))
	workerOpts.Namespace, workerOpts.SweepEvery = "", 0
	starterOpts := must(starterOptions(c, temporal, log, blobs, sealer, catalog, connections, logger))
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	d.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- worker.Run(ctx, temporal, steps, workerOpts) }()
	go func() { ended <- starter.Run(ctx, listener, starterOpts) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		closeSteps()
	})
	d.history = func(id string) string {
		var all strings.Builder
		events := temporal.GetWorkflowHistory(context.WithoutCancel(t.Context()), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event := must(events.Next())
			for _, payload := range payloadsIn(must(protojson.Marshal(event))) {
				all.Write(payload)
			}
		}
		return all.String()
	}
	return d
}

// payloadsIn returns an event in JSON with its payloads in clear, which protojson has in base64.
func payloadsIn(event []byte) [][]byte {
	found := [][]byte{event}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, element := range v {
				walk(element)
			}
		case string:
			var data []byte
			if json.Unmarshal([]byte(`"`+v+`"`), &data) == nil {
				found = append(found, data)
			}
		}
	}
	var v any
	if json.Unmarshal(event, &v) == nil {
		walk(v)
	}
	return found
}

type result struct {
	status int
	body   string
	id     string
	items  []item
}

type item struct {
	Type, Name, Output string
	Error              json.RawMessage
}

// post asks for a response as one of the people, with an Idempotency-Key if one is given.
func (d *deployed) post(t *testing.T, who connection.Caller, body string, key ...string) result {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/v1/responses", strings.NewReader(body)))
	r.Header.Set("Authorization", "Bearer key-of-"+who.User)
	if len(key) > 0 {
		r.Header.Set("Idempotency-Key", key[0])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data := must(io.ReadAll(answer.Body))
	var out struct {
		ID     string
		Output []item
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("HTTP %d with %s", answer.StatusCode, data)
	}
	return result{status: answer.StatusCode, body: string(data), id: out.ID, items: out.Output}
}

func question(id, more string) string {
	return `{"input":"go","tools":[{"type":"mcp","server_label":"acme","connector_id":"` + id + `","require_approval":"never"}]` + more + `}`
}

func (r result) of(kind string) (items []item) {
	for _, i := range r.items {
		if i.Type == kind {
			items = append(items, i)
		}
	}
	return items
}

// add makes a connector that is ready.
func (d *deployed) add(t *testing.T, by connection.Caller, scope connector.Scope, address string, auth connector.Auth, secrets connector.Secrets) connection.View {
	t.Helper()
	v := must(d.connections.Create(t.Context(), by, connection.Draft{Secrets: secrets, Settings: connector.Settings{
		Scope: scope, Name: "Acme", URL: address, Transport: connector.StreamableHTTP, Auth: auth, Network: connector.NetworkNone, Acknowledged: true,
	}}))
	return must(d.connections.Enable(t.Context(), by, v.ID, true))
}

func (d *deployed) authorize(t *testing.T, by connection.Caller, id string) {
	t.Helper()
	query := must(oauthtest.Browse(t.Context(), must(d.connections.Begin(t.Context(), by, id, "browser"))))
	must(d.connections.Complete(t.Context(), by, "browser", query))
}

// calling is a model that calls a tool so often, doing something before each time, and then answers.
func calling(t *testing.T, tool, arguments string, times int, before func(turn int)) *modeltest.Server {
	t.Helper()
	m := modeltest.NewFunc(func(r modeltest.Request) modeltest.Reply {
		turn := r.Turn()
		if turn >= times {
			return modeltest.Text("done")
		}
		if before != nil {
			before(turn)
		}
		for _, name := range r.ToolNames() {
			if strings.HasSuffix(name, tool) {
				return modeltest.Calls(modeltest.Call{Name: name, Arguments: arguments})
			}
		}
		return modeltest.Text(fmt.Sprintf("no tool %s among %q", tool, r.ToolNames()))
	})
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func mcpDouble(t *testing.T, o mcptest.ServerOptions) *mcptest.Server {
	t.Helper()
	s := mcptest.NewServer(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func protectedDouble(t *testing.T, o oauthtest.Options) (*oauthtest.Server, *oauthtest.Resource) {
	t.Helper()
	as := oauthtest.NewServer(o)
	t.Cleanup(func() {
		if err := as.Close(); err != nil {
			t.Error(err)
		}
	})
	resource := must(oauthtest.NewResource(as, mcpDouble(t, mcptest.ServerOptions{}).URL(), oauthtest.ResourceOptions{}))
	t.Cleanup(resource.Close)
	return as, resource
}

func TestConnectorInARun(t *testing.T) {
	t.Parallel()
	const key = "canary-api-key-9b2f71"
	server := mcpDouble(t, mcptest.ServerOptions{Bearer: key})
	d := deploy(t, calling(t, "echo", `{"text":"hello"}`, 1, nil))
	v := d.add(t, ann, connector.Individual, server.URL(), connector.Auth{Type: connector.AuthAPIKey}, connector.Secrets{connector.APIKey: secret.New(key)})
	if v.Tag != connector.TagConnected {
		t.Fatalf("it is %s, %+v", v.Tag, v.Status)
	}
	first := d.post(t, ann, question(v.ID, ""))
	calls := first.of("mcp_call")
	if first.status != http.StatusOK || len(first.of("mcp_list_tools")) != 1 || len(calls) != 1 || calls[0].Output != "hello" {
		t.Fatalf("HTTP %d with %s", first.status, first.body)
	}
	if !strings.Contains(first.body, `"connector_id":"`+v.ID+`"`) {
		t.Errorf("the answer does not repeat the connector: %s", first.body)
	}
	history := d.history(first.id)
	if !strings.Contains(history, v.ID) {
		t.Fatal("the history does not name the connector")
	}
	address := strings.TrimPrefix(server.URL(), "http://")
	host, _, _ := strings.Cut(address, "/")
	for place, text := range map[string]string{"history": history, "answer": first.body} {
		if strings.Contains(text, host) || strings.Contains(text, key) {
			t.Errorf("the %s has the server's address or key", place)
		}
	}
	if strings.Contains(d.log.String(), key) {
		t.Error("the log has the key")
	}

	// The conversation has the tools, as long as nobody changes the connector.
	previous := func(r result) string { return `,"previous_response_id":"` + r.id + `"` }
	second := d.post(t, ann, question(v.ID, previous(first)))
	if second.status != http.StatusOK || len(second.of("mcp_list_tools")) != 0 || len(second.of("mcp_call")) != 1 {
		t.Errorf("a conversation that goes on: HTTP %d with %s", second.status, second.body)
	}
	settings := v.Settings
	settings.AllowedTools = []string{"echo"}
	must(d.connections.Update(t.Context(), ann, v.ID, connection.Draft{Settings: settings}))
	third := d.post(t, ann, question(v.ID, previous(second)))
	lists := third.of("mcp_list_tools")
	if third.status != http.StatusOK || len(lists) != 1 || len(third.of("mcp_call")) != 1 {
		t.Errorf("after a change: HTTP %d with %s", third.status, third.body)
	}
	if strings.Count(third.body, `"input_schema"`) != 1 {
		t.Errorf("the connector allows one tool: %s", third.body)
	}
}

// What becomes of a connector while a run uses it, the model reads.
func TestConnectorIsWithdrawnDuringARun(t *testing.T) {
	t.Parallel()
	server := mcpDouble(t, mcptest.ServerOptions{})
	var d *deployed
	var v connection.View
	withdraw := []func(context.Context) error{
		func(ctx context.Context) error { // the tool
			settings := v.Settings
			settings.AllowedTools = []string{"add"}
			_, err := d.connections.Update(ctx, ada, v.ID, connection.Draft{Settings: settings})
			return err
		},
		func(ctx context.Context) error { _, err := d.connections.Enable(ctx, ada, v.ID, false); return err },
		func(ctx context.Context) error { _, err := d.connections.Share(ctx, ada, v.ID, false); return err },
		func(ctx context.Context) error { return d.connections.Delete(ctx, ada, v.ID) },
	}
	d = deploy(t, calling(t, "echo", `{"text":"hello"}`, 1+len(withdraw), func(turn int) {
		if turn == 0 {
			return
		}
		if err := withdraw[turn-1](context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}))
	v = d.add(t, ada, connector.Organization, server.URL(), connector.Auth{Type: connector.AuthNone}, nil)
	if got := d.post(t, bob, question(v.ID, "")); got.status != http.StatusBadRequest || !strings.Contains(got.body, "tools[0].connector_id") {
		t.Errorf("before it is shared: HTTP %d with %s", got.status, got.body)
	}
	must(d.connections.Share(t.Context(), ada, v.ID, true))
	got := d.post(t, bob, question(v.ID, ""))
	calls := got.of("mcp_call")
	if got.status != http.StatusOK || len(calls) != 1+len(withdraw) || calls[0].Output != "hello" {
		t.Fatalf("HTTP %d with %s", got.status, got.body)
	}
	for i, want := range []string{"does not allow this tool", "disabled", "not shared with you", "not shared with you"} {
		if call := calls[i+1]; !bytes.Contains(call.Error, []byte(want)) {
			t.Errorf("call %d ended with %s, want %q", i+1, call.Error, want)
		}
	}
	if server.Calls("echo") != 1 {
		t.Errorf("the server was called %d times", server.Calls("echo"))
	}
}

func TestTokenEndsDuringARun(t *testing.T) {
	t.Parallel()
	as, resource := protectedDouble(t, oauthtest.Options{Rotate: true})
	d := deploy(t, calling(t, "echo", `{"text":"hello"}`, 3, func(turn int) {
		if turn > 0 {
			as.ExpireTokens()
		}
	}))
	v := d.add(t, ann, connector.Individual, resource.URL(), connector.Auth{Type: connector.AuthOAuth}, nil)
	where := "https://agents.example.com" + connection.AuthorizePath + "?connector=" + v.ID
	dependent := func(name string, got result, texts ...string) {
		t.Helper()
		for _, text := range append(texts, "external_connector_error", `MCP server \"acme\" could not be initialized`, where) {
			if got.status != http.StatusFailedDependency || !strings.Contains(got.body, text) {
				t.Errorf("%s: HTTP %d with %s, want %q", name, got.status, got.body, text)
			}
		}
	}
	dependent("not authorized", d.post(t, ann, question(v.ID, "")), "needs authorization")
	d.authorize(t, ann, v.ID)
	got := d.post(t, ann, question(v.ID, ""))
	calls := got.of("mcp_call")
	if got.status != http.StatusOK || len(calls) != 3 || slices.ContainsFunc(calls, func(c item) bool { return c.Output != "hello" }) {
		t.Fatalf("HTTP %d with %s", got.status, got.body)
	}
	if n := as.Count(oauthtest.Token); n != 3 {
		t.Errorf("%d token requests, want the code's and two refreshes", n)
	}
	if got := d.post(t, bob, question(v.ID, "")); got.status != http.StatusBadRequest || !strings.Contains(got.body, "there is no connector") {
		t.Errorf("another member: HTTP %d with %s", got.status, got.body)
	}
	const key = "again-and-again"
	once := d.post(t, ann, question(v.ID, ""), key)
	as.EndGrants()
	dependent("revoked, found out by a run", d.post(t, ann, question(v.ID, "")), "has ended")
	dependent("revoked, known", d.post(t, ann, question(v.ID, `,"stream":true`)), "has ended")
	if shown := must(d.connections.Get(t.Context(), ann, v.ID)); shown.Tag != connector.TagNeedsReauth {
		t.Errorf("it is shown as %s", shown.Tag)
	}
	if again := d.post(t, ann, question(v.ID, ""), key); again.status != http.StatusOK || again.id != once.id {
		t.Errorf("a request that is repeated gets HTTP %d with %s, want its run %s", again.status, again.body, once.id)
	}
	history := d.history(got.id)
	if strings.Contains(history, resource.Origin()) || !strings.Contains(history, v.ID) {
		t.Error("the history has the server's address, or lacks the connector's ID")
	}
}
