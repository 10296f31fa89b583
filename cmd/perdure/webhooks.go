package main

import (
	"crypto/x509"
	"log/slog"

	"perdure/config"
	"perdure/internal/webhook"
)

func newWebhookSender(c config.Config, roots *x509.CertPool, logger *slog.Logger) (*webhook.Sender, error) {
	endpoints := make([]webhook.Endpoint, len(c.Webhooks))
	for i, w := range c.Webhooks {
		endpoints[i] = webhook.Endpoint{Name: w.Name, URL: w.URL, Secrets: w.Secrets(), Events: w.Events}
	}
	return webhook.New(webhook.Options{
		Endpoints: endpoints, Network: c.Network.Policy(), RootCAs: roots, Connect: c.Network.ConnectTimeout, Logger: logger,
	})
}

// subscriptions says whose responses the endpoints hear of, for starters, which name the endpoints of each run.
func subscriptions(webhooks []config.Webhook) webhook.Subscriptions {
	var all webhook.Subscriptions
	for _, w := range webhooks {
		all = append(all, webhook.Subscription{Endpoint: w.Name, Organizations: w.Organizations})
	}
	return all
}
