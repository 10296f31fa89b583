package contract

// ResponseInput is the argument of the workflow [ResponseName]. As JSON:
//
//	{"request": {"organization": "acme", "user": "nightly", "body": {"model": "openai/gpt-5.5", "input": "Hello"}}}
//
// The workflow's ID becomes the response's ID: it must be one, as [NewResponseID] and [DeriveResponseID] make it. Start it with
// [IDReusePolicy]: that alone makes it safe to repeat a start.
type ResponseInput struct {
	Request Request `json:"request"`
}

// Request asks for a response. Exactly one of Body and Line is set.
type Request struct {
	// Organization and User are for whom the run is: whose connectors it may use, and who may see it. Each is a name of 1 to 64 letters,
	// digits and . _ @ + -.
	Organization string `json:"organization"`
	User         string `json:"user"`
	// Role is the most that the run may do for the user: "admin" is what Perdure's database says that the user is, at the time of the run,
	// and left out is what any member may. Admins may use the connectors of all members.
	Role string `json:"role,omitempty"`
	// Key is the name, not the secret, of the API key that the run is to be found by. It may be left out.
	Key string `json:"key,omitempty"`
	// MembersOnly refuses the request unless the user is, when the run begins, a member of the organization in Perdure's database. It is
	// for what is asked for long before it is run.
	MembersOnly bool `json:"members_only,omitempty"`

	// Body is what POST /v1/responses takes, as a JSON object. It stays in the history of the run, so it must hold no secrets: MCP tools
	// with "authorization" or "headers" are refused, save a connector and name it with "connector_id". "stream" has no effect; the
	// events of any stored response can be read with GET /v1/responses/{id}?stream=true. "background" is true where it is left out.
	// Temporal takes 2 MiB.
	Body JSON `json:"body,omitempty"`
	// Line is in place of Body a line of a file that was uploaded for batches.
	Line *Line `json:"line,omitempty"`

	// Batch is what the run is part of. It is searched for, and no webhook tells of a run that has one.
	Batch string `json:"batch,omitempty"`
	// CustomID is the caller's own name for the request. Temporal's Web UI shows it.
	CustomID string `json:"custom_id,omitempty"`
	// Return is [ReturnResponse], or empty.
	Return string `json:"return,omitempty"`
}

// ReturnResponse as [Request.Return] wants the response itself in [Outcome.Response].
const ReturnResponse = "response"

// Line is a request in a file of requests.
type Line struct {
	// File is the ID of the file.
	File string `json:"file"`
	// Number counts the lines of the file from 1.
	Number int `json:"number"`
}
