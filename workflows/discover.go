package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
)

// discover lists the tools of all servers at once. One server that cannot be listed fails the run, and the others are not
// waited for.
func (r *run) discover(ctx workflow.Context) error {
	if len(r.in.Servers) == 0 {
		return nil
	}
	r.tell(ctx, fmt.Sprintf("listing the tools of %d MCP servers", len(r.in.Servers)))
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	results := make([]activities.DiscoverResult, len(r.in.Servers))
	selector := workflow.NewSelector(ctx)
	var first error
	for i, server := range r.in.Servers {
		input := activities.DiscoverInput{
			ResponseID: r.in.ResponseID, ItemID: r.itemID(responses.TypeMCPListTools), Server: server,
		}
		future := workflow.ExecuteActivity(
			workflow.WithActivityOptions(ctx, discoverOptions(r.in.Limits, server)), activities.DiscoverName, input)
		selector.AddFuture(future, func(f workflow.Future) {
			if err := f.Get(ctx, &results[i]); err != nil && first == nil {
				first = failed(ErrTypeDiscovery, unavailable(server.Label), err)
			}
		})
	}
	for range r.in.Servers {
		if selector.Select(ctx); first != nil {
			return first
		}
	}
	tools := 0
	for _, result := range results {
		tools += result.Tools
		r.add(result.Item)
	}
	if tools > r.in.Limits.Tools {
		return &failure{kind: ErrTypeInvalid, message: fmt.Sprintf("the MCP servers offer %d tools, and a model may be offered %d "+
			"at most; name the tools that are needed in allowed_tools", tools, r.in.Limits.Tools)}
	}
	return nil
}
