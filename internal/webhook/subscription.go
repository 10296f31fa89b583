package webhook

import "slices"

// Subscription says whose responses an endpoint hears of.
type Subscription struct {
	Endpoint string
	// Organizations are those whose responses the endpoint hears of; none stands for all.
	Organizations []string
}

// Subscriptions are those of all endpoints.
type Subscriptions []Subscription

// For returns the names of the endpoints that hear of an organization's responses.
func (s Subscriptions) For(organization string) []string {
	var names []string
	for _, sub := range s {
		if len(sub.Organizations) == 0 || slices.Contains(sub.Organizations, organization) {
			names = append(names, sub.Endpoint)
		}
	}
	return names
}
