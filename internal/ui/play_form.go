package ui

import (
	"crypto/rand"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"perdure/internal/responses"
	"perdure/internal/secret"
)

// playForm is what a person has entered at the playground. The names of its fields in the page are those of the JSON of a request, where
// there is one.
type playForm struct {
	// Nonce makes a form that is sent twice one run.
	Nonce                         string
	Prompt, Instructions, Model   string
	MaxSteps, Temperature, Effort string // as they were entered
	Store                         bool
	Approval                      string // a word of approvals
	Connectors                    []playConnector
	Servers                       []playServer
	Decisions                     []playDecision
	Previous                      string
	// Errors are what is wrong, by the field that it is wrong with.
	Errors map[string]string
}

// playConnector is a saved connector that the person may use.
type playConnector struct {
	ID, Name, Label, Tag, Message string
	Known                         bool // a discovery has found Tools
	Offered, Authorize            bool // it can be used now, or once the person has authorized it
	Chosen                        bool
	Tools                         []playTool
	Names                         string // of tools, where they are not known
}

type playTool struct {
	Name, Description string
	Allowed           bool
}

// playServer is an MCP server that stands in the request alone.
type playServer struct {
	Index             int
	Label, URL, Tools string
	Authorization     secret.String
	Again             bool // its secret was given once and is not kept: it has to be entered again
	Partial           bool // of its address, only the origin is known
}

// playDecision answers an approval request of the response that the form goes on with.
type playDecision struct {
	ID      string
	Approve bool
}

// Bounds of a form: more fields than these are nobody's.
const (
	maxPlayServers   = 64
	maxPlayIndex     = 999
	maxPlayDecisions = 256
)

// The words for when calls need approval.
const (
	approvalAlways = "always"
	approvalWrites = "writes"
	approvalNever  = "never"
)

// newPlayForm is an empty form.
func newPlayForm() *playForm {
	return &playForm{Nonce: rand.Text(), Store: true, Approval: approvalAlways, Errors: map[string]string{}}
}

var (
	serverField   = regexp.MustCompile(`^server-(\d{1,3})-label$`)
	decisionField = regexp.MustCompile(`^decide-(.+)$`)
)

// parsePlayForm reads what a browser sent. The connectors are all that the person may use; those that were chosen are marked.
func parsePlayForm(in url.Values, connectors []playConnector) *playForm {
	text := func(name string) string { return strings.ReplaceAll(in.Get(name), "\r\n", "\n") }
	f := newPlayForm()
	f.Nonce = in.Get("nonce")
	f.Prompt, f.Instructions = text("input"), text("instructions")
	f.Model = strings.TrimSpace(text("model"))
	f.MaxSteps, f.Temperature, f.Effort = strings.TrimSpace(text("max_steps")), strings.TrimSpace(text("temperature")), text("effort")
	f.Store = in.Get("store") != ""
	f.Previous = strings.TrimSpace(text("previous_response_id"))
	if approval := text("approval"); approval == approvalWrites || approval == approvalNever {
		f.Approval = approval
	}
	f.Connectors = connectors
	for i := range f.Connectors {
		f.Connectors[i].read(in)
	}
	for name := range in {
		if m := serverField.FindStringSubmatch(name); m != nil && len(f.Servers) < maxPlayServers {
			index, _ := strconv.Atoi(m[1]) // three digits at most
			f.Servers = append(f.Servers, readPlayServer(in, index))
		}
		if m := decisionField.FindStringSubmatch(name); m != nil && len(f.Decisions) < maxPlayDecisions {
			f.Decisions = append(f.Decisions, playDecision{ID: m[1], Approve: in.Get(name) == "approve"})
		}
	}
	slices.SortFunc(f.Servers, func(a, b playServer) int { return a.Index - b.Index })
	slices.SortFunc(f.Decisions, func(a, b playDecision) int { return strings.Compare(a.ID, b.ID) })
	return f
}

func (c *playConnector) read(in url.Values) {
	c.choose(in[c.ToolsField()])
	c.Names = in.Get(c.ToolsField() + "-names")
	c.Chosen = slices.Contains(in["connector"], c.ID)
}

// choose allows some tools. One that the last discovery has not found stays in the list: without it, all would be allowed.
func (c *playConnector) choose(names []string) {
	c.Chosen = true
	c.Names = strings.Join(names, ", ")
	for i := range c.Tools {
		c.Tools[i].Allowed = slices.Contains(names, c.Tools[i].Name)
	}
	for _, name := range names {
		if !slices.ContainsFunc(c.Tools, func(t playTool) bool { return t.Name == name }) {
			c.Tools = append(c.Tools, playTool{Name: name, Description: "was not there when the tools were last listed", Allowed: true})
		}
	}
}

// Field and ToolsField are the names of its fields in the page.
func (c playConnector) Field() string      { return "connector-" + c.ID }
func (c playConnector) ToolsField() string { return "tools-" + c.ID }

// Limited reports whether only some tools are allowed.
func (c playConnector) Limited() bool { return len(c.allowed()) > 0 }

// allowed are the names of the tools that the model is offered; none means all.
func (c playConnector) allowed() []string {
	if !c.Known {
		return toolNames(c.Names)
	}
	var names []string
	for _, t := range c.Tools {
		if t.Allowed {
			names = append(names, t.Name)
		}
	}
	return names
}

func readPlayServer(in url.Values, index int) playServer {
	s := playServer{Index: index}
	s.Label = strings.TrimSpace(in.Get(s.Field("label")))
	s.URL = strings.TrimSpace(in.Get(s.Field("url")))
	s.Tools = in.Get(s.Field("tools"))
	s.Again = in.Get(s.Field("again")) != ""
	s.Authorization = secret.New(strings.TrimSpace(in.Get(s.Field("authorization"))))
	return s
}

// Field is the name of a field of the server.
func (s playServer) Field(name string) string { return "server-" + strconv.Itoa(s.Index) + "-" + name }

// empty reports whether nothing was entered for the server, which is then none.
func (s playServer) empty() bool {
	return s.Label == "" && s.URL == "" && !s.Again && strings.TrimSpace(s.Tools) == "" && s.Authorization.IsZero()
}

// toolNames reads names that are separated by commas or white space.
func toolNames(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' })
}

// addServer adds an empty server to fill in.
func (f *playForm) addServer() {
	next := 0
	for _, s := range f.Servers {
		next = max(next, s.Index+1)
	}
	f.Servers = append(f.Servers, playServer{Index: next})
}

func (f *playForm) removeServer(index int) {
	f.Servers = slices.DeleteFunc(f.Servers, func(s playServer) bool { return s.Index == index })
}

// forgetSecrets is for a form that goes back to its page: a secret is never in one.
func (f *playForm) forgetSecrets() {
	for i := range f.Servers {
		s := &f.Servers[i]
		s.Again = s.Again || !s.Authorization.IsZero()
		s.Authorization = secret.String{}
	}
}

// standIn gives the servers whose tokens are not there any more one, for code, which only names it.
func (f *playForm) standIn() {
	for i := range f.Servers {
		if s := &f.Servers[i]; s.Again && s.Authorization.IsZero() {
			s.Authorization = secret.New("a token")
		}
	}
}

// fail says what is wrong at the field that it is wrong with, or above the form if there is none.
func (f *playForm) fail(b *playRequest, e *responses.Error) (field string) {
	field = b.fieldOf(e)
	f.Errors[field] = e.Message
	return field
}
