package main

import (
	"net/url"

	"perdure/activities"
	"perdure/config"
	"perdure/internal/egress"
)

// retryPolicies returns what finds the retry policy of an MCP server by its origin.
func retryPolicies(c config.MCP) (func(origin string) activities.RetryPolicy, error) {
	type entry struct {
		origin egress.Origin
		policy activities.RetryPolicy
	}
	var entries []entry
	for _, s := range c.Servers {
		origin, err := egress.ParseOrigin(s.Origin)
		if err != nil {
			return nil, err
		}
		policy := activities.RetryPolicy{Default: activities.RetryRule(s.Retry)}
		for _, tool := range s.Tools {
			if policy.Tools == nil {
				policy.Tools = map[string]activities.RetryRule{}
			}
			policy.Tools[tool.Name] = activities.RetryRule(tool.Retry)
		}
		entries = append(entries, entry{origin, policy})
	}
	return func(origin string) activities.RetryPolicy {
		if u, err := url.Parse(origin); err == nil {
			for _, e := range entries {
				if e.origin.Covers(egress.OriginOf(u)) {
					return e.policy
				}
			}
		}
		return activities.RetryPolicy{Default: activities.RetryRule(c.Retry)}
	}, nil
}
