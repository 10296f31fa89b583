package webhook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/webhook"
)

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	subscriptions := webhook.Subscriptions{
		{Endpoint: "all"}, {Endpoint: "acme", Organizations: []string{"acme"}}, {Endpoint: "both", Organizations: []string{"other", "acme"}},
	}
	for organization, want := range map[string][]string{
		"acme": {"all", "acme", "both"}, "other": {"all", "both"}, "third": {"all"}, "": {"all"},
	} {
		if diff := cmp.Diff(want, subscriptions.For(organization)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", organization, diff)
		}
	}
	if got := webhook.Subscriptions(nil).For("acme"); got != nil {
		t.Errorf("no subscriptions, yet %v hear of it", got)
	}
}
