package ui

import (
	"regexp"
	"strconv"
	"strings"

	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/snippet"
)

// playRequest is the request that a form stands for: what is sent, and what the code shows, is the same.
type playRequest struct {
	body snippet.Object
	// secrets are the values that stand in the code as environment variables.
	secrets map[snippet.Env]secret.String
	// tools are the fields of the tools, in order, and labels those of the servers by their labels.
	tools  []playToolField
	labels map[string]string
}

// playToolField says where an entry of the request's tools was entered.
type playToolField struct {
	prefix string // of the names of its fields
	inline bool
}

// request makes the request of a form. Its error names the place as those of the API do. With approvals it says which calls need them.
func (f *playForm) request(approvals bool) (*playRequest, error) {
	b := &playRequest{secrets: map[snippet.Env]secret.String{}, labels: map[string]string{}}
	if f.Model != "" {
		b.add("model", f.Model)
	}
	b.input(f)
	if f.Previous != "" {
		b.add("previous_response_id", f.Previous)
	}
	if strings.TrimSpace(f.Instructions) != "" {
		b.add("instructions", f.Instructions)
	}
	if f.MaxSteps != "" {
		n, err := strconv.Atoi(f.MaxSteps)
		if err != nil {
			return b, responses.Invalid("max_steps", "must be a whole number")
		}
		b.add("max_steps", n)
	}
	if f.Temperature != "" {
		n, err := strconv.ParseFloat(f.Temperature, 64)
		if err != nil {
			return b, responses.Invalid("temperature", "must be a number such as 0.7")
		}
		b.add("temperature", n)
	}
	if f.Effort != "" {
		b.add("reasoning", snippet.Object{{Name: "effort", Value: f.Effort}})
	}
	if !f.Store {
		b.add("store", false)
	}
	b.servers(f, approvals)
	return b, nil
}

func (b *playRequest) add(name string, value any) {
	b.body = append(b.body, snippet.Member{Name: name, Value: value})
}

// input is the prompt, or, where the form answers approval requests, the answers and what the person says to them.
func (b *playRequest) input(f *playForm) {
	if len(f.Decisions) == 0 {
		b.add("input", f.Prompt)
		return
	}
	var items snippet.List
	for _, d := range f.Decisions {
		items = append(items, snippet.Object{
			{Name: "type", Value: "mcp_approval_response"}, {Name: "approval_request_id", Value: d.ID}, {Name: "approve", Value: d.Approve},
		})
	}
	if strings.TrimSpace(f.Prompt) != "" {
		items = append(items, snippet.Object{
			{Name: "type", Value: "message"}, {Name: "role", Value: "user"}, {Name: "content", Value: f.Prompt},
		})
	}
	b.add("input", items)
}

func (b *playRequest) servers(f *playForm, approvals bool) {
	var tools snippet.List
	add := func(t snippet.Object, names []string, label string, at playToolField, field string) {
		if len(names) > 0 {
			list := make(snippet.List, len(names))
			for i, name := range names {
				list[i] = name
			}
			t = append(t, snippet.Member{Name: "allowed_tools", Value: list})
		}
		if approvals {
			t = append(t, approvalMembers(f.Approval)...)
		}
		tools = append(tools, t)
		b.tools = append(b.tools, at)
		b.labels[label] = field
	}
	for _, c := range f.Connectors {
		if !c.Chosen {
			continue
		}
		add(snippet.Object{
			{Name: "type", Value: "mcp"}, {Name: "server_label", Value: c.Label}, {Name: "connector_id", Value: c.ID},
		}, c.allowed(), c.Label, playToolField{prefix: c.Field()}, c.Field())
	}
	taken := map[snippet.Env]bool{}
	for _, s := range f.Servers {
		if s.empty() {
			continue
		}
		t := snippet.Object{{Name: "type", Value: "mcp"}, {Name: "server_label", Value: s.Label}, {Name: "server_url", Value: s.URL}}
		if !s.Authorization.IsZero() {
			env := snippet.EnvName(s.Label, "TOKEN", taken)
			b.secrets[env] = s.Authorization
			t = append(t, snippet.Member{Name: "authorization", Value: env})
		}
		add(t, toolNames(s.Tools), s.Label, playToolField{prefix: s.Field(""), inline: true}, s.Field("url"))
	}
	if tools != nil {
		b.add("tools", tools)
	}
}

// approvalMembers say which calls need approval, where the API's default, all of them, is not what the person wants.
func approvalMembers(word string) snippet.Object {
	switch word {
	case approvalNever:
		return snippet.Object{{Name: "require_approval", Value: "never"}}
	case approvalWrites:
		return snippet.Object{{Name: "require_approval", Value: snippet.Object{{Name: "never", Value: snippet.Object{{Name: "read_only", Value: true}}}}}}
	default:
		return nil
	}
}

// json is the request as it is sent, with its secrets.
func (b *playRequest) json() []byte {
	return b.body.JSON(func(e snippet.Env) string { return b.secrets[e].Reveal() })
}

var (
	toolParam = regexp.MustCompile(`^tools\[(\d{1,4})\]\.?([a-z_]*)`)
	// inMessage finds the server that an error is about, for which the API has no parameter of its own.
	inMessage = regexp.MustCompile(`^MCP server "([A-Za-z0-9_-]{1,64})"`)
)

// plainFields are the fields whose parameters have other names.
var plainFields = map[string]string{
	"model": "model", "models": "model", "input": "input", "instructions": "instructions", "max_steps": "max_steps", "temperature": "temperature",
	"reasoning": "effort", "reasoning.effort": "effort", "store": "store", "previous_response_id": "previous_response_id",
}

// fieldOf returns the name of the field that an error is about; empty: none.
func (b *playRequest) fieldOf(e *responses.Error) string {
	if m := toolParam.FindStringSubmatch(e.Param); m != nil {
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(b.tools) {
			return b.tools[i].field(m[2])
		}
	}
	if m := inMessage.FindStringSubmatch(e.Message); m != nil {
		return b.labels[m[1]]
	}
	if strings.HasPrefix(e.Param, "input[") {
		return "input"
	}
	return plainFields[e.Param]
}

// field returns the field of a member of the tool.
func (t playToolField) field(member string) string {
	if !t.inline {
		return t.prefix
	}
	switch member {
	case "server_label":
		return t.prefix + "label"
	case "authorization":
		return t.prefix + "authorization"
	case "allowed_tools":
		return t.prefix + "tools"
	default:
		return t.prefix + "url"
	}
}
