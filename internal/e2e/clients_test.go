package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"perdure/internal/mcptest"
	"perdure/internal/modeltest"
)

// clientScenarios are what every library does, as far as it can.
var clientScenarios = []struct {
	name string
	run  func(*testing.T, *sdk)
	only func(library) bool
}{
	{name: "create", run: clientCreates},
	{name: "MCP call and continuation", run: clientContinues},
	{name: "function", run: clientRunsFunction},
	{name: "stream", run: clientStreams},
	{name: "stream helper", run: clientStreamsWithHelper, only: hasHelpers},
	{name: "stream of a function call", run: clientStreamsFunction},
	{name: "stream of a turn that was tried again", run: clientStreamsRetriedTurn},
	{name: "failed run", run: clientSeesFailure},
	{name: "resume", run: clientResumes},
	{name: "resume with helper", run: clientResumesWithHelper, only: hasHelpers},
	{name: "background", run: clientPolls},
	{name: "cancel", run: clientCancels},
	{name: "delete", run: clientDeletes, only: isOpenAI},
	{name: "input items", run: clientListsInput, only: isOpenAI},
	{name: "idempotency key", run: clientSendsKey},
	{name: "idempotency key of a stream", run: clientSendsKeyWithStream},
	{name: "automatic retry", run: clientRetries},
	{name: "files", run: clientKeepsFiles, only: isOpenAI},
	{name: "batches", run: clientRunsBatches, only: isOpenAI},
	{name: "external connector error", run: clientSeesConnectorError},
	{name: "errors", run: clientSeesErrors},
}

func hasHelpers(l library) bool { return l.helpers }
func isOpenAI(l library) bool   { return l.openAI }

// TestClients drives the product with client libraries that we did not write. OpenAI's speak both dialects, since the default one
// is what a user has who changes nothing but the address.
func TestClients(t *testing.T) {
	t.Parallel()
	dialects := map[string]*stack{
		"agent":  sharedStack(t),
		"openai": sharedOpenAIStack(t),
	}
	for dialect, s := range dialects {
		for _, l := range libraries {
			if dialect == "openai" && !l.openAI {
				continue
			}
			t.Run(dialect+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				c := startClient(t, l, s)
				c.dialectOpenAI = dialect == "openai"
				for _, scenario := range clientScenarios {
					if scenario.only != nil && !scenario.only(l) {
						continue
					}
					t.Run(scenario.name, func(t *testing.T) {
						t.Parallel()
						scenario.run(t, c)
					})
				}
			})
		}
	}
}

// ask is a request's body for a model of the test's own. The members come after the model.
func ask(t *testing.T, model *modeltest.Server, members string, args ...any) json.RawMessage {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	suite.models.plug(t, name, model)
	return askAgain(t, members, args...)
}

// askAgain is the body of a further request for the same model.
func askAgain(t *testing.T, members string, args ...any) json.RawMessage {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	body := fmt.Appendf(nil, `{"model": "openai/gpt-5.5@%s", %s}`, name, fmt.Sprintf(members, args...))
	if !json.Valid(body) {
		t.Fatalf("not JSON: %s", body)
	}
	return body
}

// startTools starts an MCP server and returns it as a tool called s, which needs no approval.
func startTools(t *testing.T) (server *mcptest.Server, tool string) {
	t.Helper()
	server = mcptest.NewServer(mcptest.ServerOptions{})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, fmt.Sprintf(`{"type": "mcp", "server_label": "s", "server_url": "%s", "require_approval": "never"}`, server.URL())
}

const weatherTool = `{"type": "function", "name": "get_weather", "strict": true, "parameters": {
	"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}}`
