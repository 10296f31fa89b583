package activities

import (
	"encoding/json"

	"perdure/internal/model"
	"perdure/internal/responses"
)

// toolset is what one model turn may call.
type toolset struct {
	choice     responses.ToolChoice
	names      *model.Names // of all tools of the run, so that a tool's name stays when the choice changes
	offered    []model.Tool
	repeatable map[responses.ToolRef]bool
	readOnly   map[responses.ToolRef]bool
	approvals  map[string]responses.ApprovalPolicy
}

// newToolset reads the tools from mcp_list_tools items of the conversation, so that they need not travel with every turn.
func newToolset(s Settings, items []responses.Item, in ModelTurnInput) *toolset {
	t := &toolset{
		choice: s.Choice, repeatable: map[responses.ToolRef]bool{}, readOnly: map[responses.ToolRef]bool{}, approvals: s.Approvals,
	}
	lists := toolLists(items, in)
	var functions []string
	for _, f := range s.Functions {
		functions = append(functions, f.Name)
	}
	var refs []responses.ToolRef
	for _, list := range lists {
		for _, tool := range list.Tools {
			refs = append(refs, responses.ToolRef{Server: list.ServerLabel, Name: tool.Name})
		}
	}
	t.names = model.NewNames(functions, refs)
	for _, f := range s.Functions {
		if t.allows(responses.ToolRef{Name: f.Name}) {
			t.offered = append(t.offered, model.Tool{
				Ref: responses.ToolRef{Name: f.Name}, Description: f.Description, Schema: f.Parameters, Strict: isTrue(f.Strict),
			})
		}
	}
	if in.CallsLeft != nil && *in.CallsLeft == 0 {
		return t
	}
	for _, list := range lists {
		for _, tool := range list.Tools {
			t.offer(list.ServerLabel, tool)
		}
	}
	return t
}

// toolLists returns the lists that count: those of this run and, of servers that were not listed again, the last one before it.
func toolLists(items []responses.Item, in ModelTurnInput) []*responses.MCPListTools {
	earlier := map[string]*responses.MCPListTools{}
	var lists []*responses.MCPListTools
	for i, item := range items {
		list, ok := item.(*responses.MCPListTools)
		switch {
		case !ok:
		case i >= in.OutputFrom:
			lists = append(lists, list)
		default:
			earlier[list.ServerLabel] = list
		}
	}
	var kept []*responses.MCPListTools
	for _, label := range in.Listed {
		if list := earlier[label]; list != nil {
			kept = append(kept, list)
		}
	}
	return append(kept, lists...)
}

func (t *toolset) offer(label string, tool responses.MCPToolInfo) {
	ref := responses.ToolRef{Server: label, Name: tool.Name}
	if a := tool.Annotations; a != nil {
		t.repeatable[ref] = a.ReadOnly || a.Idempotent
		t.readOnly[ref] = a.ReadOnly
	}
	if t.allows(ref) {
		t.offered = append(t.offered, model.Tool{Ref: ref, Description: tool.Description, Schema: json.RawMessage(tool.InputSchema)})
	}
}

func (t *toolset) allows(ref responses.ToolRef) bool { return t.choice.Allows(ref.Server, ref.Name) }

// offersFunction reports whether name is that of a function which the client may be asked to call.
func (t *toolset) offersFunction(name string) bool {
	ref, known := t.names.Resolve(name)
	return known && ref.Server == "" && t.allows(ref)
}

// needsApproval reports whether the client must approve a call of the tool. A server without a policy has the strictest one.
func (t *toolset) needsApproval(ref responses.ToolRef) bool {
	return t.approvals != nil && t.approvals[ref.Server].Requires(ref.Name, t.readOnly[ref])
}
