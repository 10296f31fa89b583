// Package e2e tests Perdure from outside: the program as it is built for its users, real processes, HTTP and Temporal. Only the
// model and the MCP servers are doubles, and one test does without the latter.
//
//	scenario_test.go   what a request does to the model, the servers and its own answer; see below
//	errors_test.go     requests that are refused
//	discovery_test.go  MCP servers that cannot be listed
//	kill_test.go       processes that die in the middle of a run
//	chaos_test.go      processes that die at random while all kinds of clients are served; see below
//	stop_test.go       processes that are told to stop in the middle of a run, and clients that leave
//	retry_test.go      what an operator says of calls whose answer was lost
//	rolling_test.go    workers and starters that are restarted one after another, under clients of all kinds
//	versions_test.go   two builds of the program at the same time
//	view_test.go       what an operator sees in Temporal, and what nobody may see there
//	dev_test.go        "perdure dev" as a newcomer uses it
//	everything_test.go an MCP server that we did not write
//	connector_test.go  a connector that is authorized in a browser (browser_test.go) at an authorization server that we did not write
//	                   (oidc_server_test.go), for an MCP server that takes its tokens (oidc_resource_test.go)
//	connectors_test.go the pages about connectors, with connectors_edit_test.go and connectors_stage_test.go
//	pages_test.go      every page of pages_list_test.go, as each of the people of pages_stage_test.go, in a browser (browser_page_test.go);
//	                   pages_security_test.go asks for them as no person would
//	settings_test.go   keys, members and accounts on pages, with JavaScript and without
//	screenshots_test.go, pages_paint_test.go
//	                   no tests: pictures of the pages, and how soon they show
//	playground_test.go the playground in a browser, as a person uses it, with and without scripts
//	clients_test.go    client libraries that we did not write; sdk_test.go runs them, in npm/clients and goclient
//	golden_stream_test.go every byte of a stream
//	resume_test.go     streams that are cut at every event, and go on elsewhere; sse_test.go reads them
//	stream_test.go     that streams agree with themselves and with responses
//	outage_test.go     the event log stops
//	cancel_test.go     runs that are cancelled, and clients that leave
//	idempotency_test.go, chain_test.go, approval_test.go, tenancy_test.go, list_test.go, webhook_test.go
//	                   what their names say
//	continued_test.go  runs whose history is full
//	size_test.go       the largest that is allowed, and what it costs
//	recording_test.go  no test: it records the histories that package workflows replays
//
// # Chaos
//
// TestChaos serves many clients while it kills workers, starters, the event log and Temporal. What every run must come to is planned
// (chaos_plan_test.go), the model and the tools do as planned and keep a ledger of what they were asked (chaos_doubles_test.go), clients
// of all kinds insist on their answers (chaos_client_test.go), and afterwards all of it is compared (chaos_check_test.go).
// chaos_machine_test.go has the processes, chaos_killer_test.go kills them, chaos_report_test.go has the figures, and
// chaos_unit_test.go shows that what is wrong is noticed. "make chaos" is a long run of it.
//
// # Scenarios
//
// A scenario is a file testdata/NAME.txtar. It begins with what it pins, and why, and has these parts:
//
//	request.json      the body of the request; {{LABEL}} stands for the URL of an MCP server below
//	request-2.json    and so on: further requests; "{{output}}" stands for the items of the answer before, and
//	                  {{call_id}} for the ID of the function call among them
//	model/1.json      what the model answers to its first request, and so on; see modelReply
//	mcp/LABEL.json    an MCP server; see mcpScript
//	contains/…        bytes that the answer must hold just so
//	response.json     the answer, without the members that every answer has; response-2.json and so on
//	requests.golden   what the model was asked
//
// The last two are written by "go test ./internal/e2e -run TestScenarios -update": read the difference before you keep it.
package e2e
