package starter

import (
	"errors"
	"net/http"
	"slices"

	"go.temporal.io/sdk/temporal"

	"perdure/activities"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// maxCounting is how many requests count tokens at the same time.
const maxCounting = 2

// countInputTokens answers how many tokens the first model turn of a request would read. It starts nothing and asks no server: MCP
// tools count if the conversation lists them.
func (s *Starter) countInputTokens(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	req, err := responses.DecodeRequest(body, s.dialect(r))
	if err != nil {
		return err
	}
	if err := s.validate(req); err != nil {
		return err
	}
	ctx, d := r.Context(), s.dialect(r)
	before, err := s.before(ctx, who, req, call{dialect: d, memory: memory})
	if err != nil {
		return err
	}
	items, err := s.itemsBefore(ctx, before, memory)
	if err != nil {
		return err
	}
	items, labels := offered(append(items, req.Input...), req.MCPTools())
	turn, err := activities.FirstTurn(s.Sealer, s.Limits.ToolOutput, settings(who, req, d), req.Models[0], items, labels)
	var refused *temporal.ApplicationError
	if errors.As(err, &refused) {
		return responses.Invalid("input", "%s", refused.Message())
	}
	if err != nil {
		return err
	}
	if err := s.counting.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.counting.Release(1)
	n, err := s.Catalog.CountTokens(ctx, turn)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, map[string]any{"object": "response.input_tokens", "input_tokens": n})
}

// offered returns the labels of the servers, and the items with only those of the listed tools that the request allows.
func offered(items []responses.Item, servers []*responses.MCPTool) ([]responses.Item, []string) {
	var labels []string
	for _, server := range servers {
		labels = append(labels, server.ServerLabel)
		for i, item := range items {
			list, ok := item.(*responses.MCPListTools)
			if !ok || list.ServerLabel != server.ServerLabel {
				continue
			}
			allowed := *list
			allowed.Tools = slices.DeleteFunc(slices.Clone(list.Tools), func(tool responses.MCPToolInfo) bool {
				return len(server.Allowed.Names) > 0 && !slices.Contains(server.Allowed.Names, tool.Name) ||
					server.Allowed.ReadOnly && (tool.Annotations == nil || !tool.Annotations.ReadOnly)
			})
			items[i] = &allowed
		}
	}
	return items, labels
}
