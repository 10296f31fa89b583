package activities

import (
	"context"
	"errors"
	"slices"

	"perdure/internal/blob"
	"perdure/internal/events"
	"perdure/internal/mcpclient"
	"perdure/internal/responses"
	"perdure/internal/transcript"
)

// DiscoverInput asks for the tools of one server.
type DiscoverInput struct {
	ResponseID string `json:"response_id"`
	ItemID     string `json:"item_id"`
	// Index is the item's place in the output.
	Index  int    `json:"index"`
	Server Server `json:"server"`
}

// DiscoverResult is the mcp_list_tools item.
type DiscoverResult struct {
	Item blob.Value `json:"item"`
	// Tools is the number of tools that the model may be offered.
	Tools int `json:"tools"`
	// Dropped are tools that could not be used, each with the reason.
	Dropped []DroppedTool `json:"dropped,omitempty"`
}

// DroppedTool is a tool that its server describes in a way that no model can be given.
type DroppedTool struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Discover lists the tools of an MCP server. Its errors have the type [ErrTypeDiscovery].
func (a *Activities) Discover(ctx context.Context, in DiscoverInput) (DiscoverResult, error) {
	defer a.beat(ctx, in.ResponseID).stop()
	told := a.tell(ctx, in.ResponseID, "list", in.Index)
	told.step.Publish(events.Event{Kind: events.ListStarted, Index: in.Index, ItemID: in.ItemID, Server: in.Server.Label})
	server, err := a.open(ctx, in.ResponseID, in.Server)
	if errors.Is(err, errEndpointLost) {
		return DiscoverResult{}, broken(err)
	}
	if fault := (*mcpclient.Error)(nil); errors.As(err, &fault) {
		return DiscoverResult{}, discoveryError(ctx, in.Server.Label, fault)
	}
	var allowed responses.ToolFilter
	if err == nil {
		err = a.Blobs.For(in.ResponseID).Unpack(ctx, in.Server.Allowed, &allowed)
	}
	if err != nil {
		return DiscoverResult{}, storageError(err)
	}
	listing, err := a.MCP.ListTools(ctx, in.ResponseID, server.Server)
	if err != nil {
		return DiscoverResult{}, discoveryError(ctx, in.Server.Label, server.explain(ctx, err))
	}
	item := &responses.MCPListTools{ID: in.ItemID, ServerLabel: in.Server.Label, Tools: []responses.MCPToolInfo{}}
	for _, tool := range listing.Tools {
		if allows(allowed, tool) && server.offers(tool.Name) {
			item.Tools = append(item.Tools, toolInfo(tool))
		}
	}
	values, err := transcript.Pack(ctx, a.Blobs.For(in.ResponseID), item)
	if err != nil {
		return DiscoverResult{}, storageError(err)
	}
	result := DiscoverResult{Item: values[0], Tools: len(item.Tools)}
	for _, d := range listing.Dropped {
		result.Dropped = append(result.Dropped, DroppedTool{Name: d.Name, Reason: d.Reason})
		a.Logger.WarnContext(ctx, "MCP tool left out",
			"response", in.ResponseID, "server", in.Server.Label, "tool", d.Name, "reason", d.Reason)
	}
	told.last(ctx, events.Event{
		Kind: events.ListDone, Index: in.Index, ItemID: in.ItemID, Server: in.Server.Label, Item: &result.Item,
	})
	return result, nil
}

func allows(f responses.ToolFilter, tool mcpclient.Tool) bool {
	if f.ReadOnly && !isTrue(tool.ReadOnly) {
		return false
	}
	return len(f.Names) == 0 || slices.Contains(f.Names, tool.Name)
}

func toolInfo(tool mcpclient.Tool) responses.MCPToolInfo {
	info := responses.MCPToolInfo{Name: tool.Name, Description: tool.Description, InputSchema: responses.Schema(tool.InputSchema)}
	if tool.ReadOnly != nil || tool.Idempotent != nil {
		info.Annotations = &responses.ToolAnnotations{ReadOnly: isTrue(tool.ReadOnly), Idempotent: isTrue(tool.Idempotent)}
	}
	return info
}

func isTrue(b *bool) bool { return b != nil && *b }
