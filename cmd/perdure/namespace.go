package main

import (
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"perdure/config"
)

// namespaceOf is the namespace that the client of dialTemporal uses.
func namespaceOf(c config.Temporal) string {
	if c.Namespace != "" {
		return c.Namespace
	}
	if o, err := envconfig.LoadDefaultClientOptions(); err == nil && o.Namespace != "" {
		return o.Namespace
	}
	return client.DefaultNamespace
}
