package main

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/config"
	"perdure/internal/secret"
	"perdure/internal/webhook"
)

func TestWebhooksOfTheConfiguration(t *testing.T) {
	t.Parallel()
	key := secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	c := config.Default()
	c.Webhooks = []config.Webhook{
		{Name: "ops", URL: "https://hooks.example.com", Secret: key, Events: []string{webhook.Failed}},
		{Name: "acme", URL: "https://acme.example.com", Secret: key, Organizations: []string{"acme"}},
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	sender, err := newWebhookSender(c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if sender.Wants("ops", webhook.Completed) || !sender.Wants("acme", webhook.Completed) {
		t.Error("the types of events are not those of the configuration")
	}
	all := subscriptions(c.Webhooks)
	for organization, want := range map[string][]string{"acme": {"ops", "acme"}, "other": {"ops"}} {
		if diff := cmp.Diff(want, all.For(organization)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", organization, diff)
		}
	}
}
