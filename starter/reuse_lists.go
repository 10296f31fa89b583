package starter

import (
	"bytes"
	"slices"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/workflows"
)

// reuseLists has a run not list the servers whose tools the conversation has already: in a list that the client sends along, or in one that
// an earlier response made of the same endpoint with the same filter. What such lists have counts for the limit on tools.
func (k *Intake) reuseLists(in *workflows.ResponseInput, req *responses.Request, earlier []workflows.ListedServer) error {
	reused := 0
	for i, tool := range req.MCPTools() {
		server := &in.Servers[i] // which were made of them
		server.Tools = sentAlong(req.Input, server.Label)
		for _, l := range earlier {
			if server.Tools != nil || l.Tools == nil {
				continue
			}
			same, err := k.sameServer(in.Organization, l, *server, tool)
			if err != nil {
				return err
			}
			if same {
				server.Tools = l.Tools
			}
		}
		if server.Tools != nil {
			in.Listed = append(in.Listed, server.Label)
			reused += *server.Tools
		}
	}
	if in.Limits.Tools -= reused; reused > 0 && in.Limits.Tools < 0 {
		return responses.Invalid("tools", "the conversation lists %d tools of the MCP servers, and a model may be offered %d at most, functions "+
			"included; name the tools that are needed in allowed_tools, and send no mcp_list_tools items, so that the servers are listed anew",
			reused, k.Limits.Run.Tools)
	}
	return nil
}

// sentAlong returns how many tools the input lists of a server; nil where it has no list of it. The last one counts.
func sentAlong(input []responses.Item, label string) *int {
	var last *responses.MCPListTools
	usable := false
	for _, item := range input {
		if list, ok := item.(*responses.MCPListTools); ok && list.ServerLabel == label {
			last, usable = list, usable || list.Error == nil
		}
	}
	if !usable {
		return nil
	}
	tools := len(last.Tools)
	return &tools
}

// sameServer reports whether a list was made of the server, at the same endpoint with the same credentials and filter. Another endpoint of
// a host may be another tenant's, whose tools declare something else.
func (k *Intake) sameServer(organization string, l workflows.ListedServer, server activities.Server, t *responses.MCPTool) (bool, error) {
	if l.Label != server.Label || l.Origin != server.Origin || !sameConnector(l, server.Connector) ||
		!bytes.Equal(l.Allowed.JSON, server.Allowed.JSON) || l.Allowed.Ref != server.Allowed.Ref {
		return false, nil
	}
	if server.Connector != nil {
		return true, nil
	}
	fingerprints, err := activities.EndpointFingerprints(k.Sealer, organization, t)
	return slices.Contains(fingerprints, l.Fingerprint), err
}

// sameConnector reports whether a list was made of the same connector with the same settings, or both are of none.
func sameConnector(l workflows.ListedServer, c *activities.Connector) bool {
	if c == nil {
		return l.Connector == ""
	}
	return l.Connector == c.ID && l.Version == c.Version
}
