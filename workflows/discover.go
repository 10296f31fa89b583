package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/responses"
)

// discover lists the tools of all servers at once, but for those whose tools the conversation has already. One server that cannot
// be listed fails the run, and the others are not waited for.
func (r *run) discover(ctx workflow.Context) error {
	servers := r.unlisted()
	if len(servers) == 0 {
		return nil
	}
	r.tell(ctx, fmt.Sprintf("listing the tools of %d MCP servers", len(servers)))
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	results := make([]activities.DiscoverResult, len(servers))
	selector := workflow.NewSelector(ctx)
	var first error
	pending := len(servers)
	for i, server := range servers {
		n := r.newItem()
		input := activities.DiscoverInput{
			ResponseID: r.in.ResponseID, ItemID: responses.ItemID(responses.TypeMCPListTools, r.in.ResponseID, n), Index: n, Server: server,
		}
		var list func()
		list = func() {
			future := workflow.ExecuteActivity(
				r.inTime(ctx, discoverOptions(r.in, server)), activities.DiscoverName, input)
			selector.AddFuture(future, func(f workflow.Future) {
				err := f.Get(ctx, &results[i])
				if _, stopped := stoppedAfter(err); stopped {
					list()
					return
				}
				pending--
				if err != nil && first == nil {
					first = failed(ErrTypeDiscovery, unavailable(server.Label), err)
				}
			})
		}
		list()
	}
	for pending > 0 {
		if selector.Select(ctx); first != nil {
			return first
		}
	}
	tools := 0
	for i, result := range results {
		tools += result.Tools
		r.add(result.Item)
		at := slices.IndexFunc(r.in.Servers, func(s activities.Server) bool { return s.Label == servers[i].Label })
		r.in.Servers[at].Tools = &result.Tools
	}
	if tools > r.in.Limits.Tools {
		return &failure{kind: ErrTypeInvalid, param: "tools", message: fmt.Sprintf("the MCP servers offer %d tools, and a model may be offered %d "+
			"at most; name the tools that are needed in allowed_tools", tools, r.in.Limits.Tools)}
	}
	return nil
}

func (r *run) unlisted() []activities.Server {
	var servers []activities.Server
	for _, s := range r.in.Servers {
		if !slices.Contains(r.in.Listed, s.Label) {
			servers = append(servers, r.servers[s.Label])
		}
	}
	return servers
}
