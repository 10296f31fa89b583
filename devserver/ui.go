package main

import (
	"net"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

// newUI is Temporal's Web UI on addr, with its writing actions and without anything that calls out to the
// internet.
func newUI(addr *net.TCPAddr, frontend, namespace string) *uiserver.Server {
	return uiserver.NewServer(uioptions.WithConfigProvider(uiConfig(addr, frontend, namespace)))
}

func uiConfig(addr *net.TCPAddr, frontend, namespace string) *uiconfig.Config {
	host := addr.IP.String()
	if addr.IP.To4() == nil {
		host = "[" + host + "]" // The UI joins host and port with a bare colon.
	}
	return &uiconfig.Config{
		Host:                host,
		Port:                addr.Port,
		TemporalGRPCAddress: frontend,
		EnableUI:            true,
		DefaultNamespace:    namespace,
		DisableNewsFetch:    true,
		HideLogs:            true,
		// The CSRF cookie must reach a plain HTTP page.
		CORS: uiconfig.CORS{CookieInsecure: true},
	}
}
