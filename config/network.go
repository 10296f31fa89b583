package config

import (
	"fmt"

	"perdure/internal/egress"
	"perdure/internal/secret"
)

// Proxy is what MCP servers and webhooks at public addresses are reached through. Its credentials are given in one of three ways.
type Proxy struct {
	URL string `mapstructure:"url"` // http://host:port or https://host:port; empty for none

	Credentials     secret.String `mapstructure:"credentials"`      // user:password; Load fills it from CredentialsEnv or CredentialsFile
	CredentialsEnv  string        `mapstructure:"credentials_env"`  // name of an environment variable that holds them
	CredentialsFile string        `mapstructure:"credentials_file"` // path of a file that holds them

	Resolve string `mapstructure:"resolve"` // who resolves names: "here" or "proxy"
}

func (n *Network) resolve(env environment) error {
	p := &n.Proxy
	return secretSource{path: "network.proxy.credentials", value: &p.Credentials, env: p.CredentialsEnv, file: p.CredentialsFile}.resolve(env)
}

// Policy returns the rules for connections, as the network guard takes them.
func (n Network) Policy() egress.NetworkPolicy {
	return egress.NetworkPolicy{
		AllowNetworks: n.AllowNetworks, AllowOrigins: n.AllowOrigins,
		Proxy: egress.Proxy{URL: n.Proxy.URL, Credentials: n.Proxy.Credentials, Resolves: n.Proxy.Resolve == "proxy"},
	}
}

func (n Network) validate(v *validation) {
	for i, prefix := range n.AllowNetworks {
		path := fmt.Sprintf("network.allow_networks[%d]", i)
		switch {
		case !prefix.IsValid():
			v.report(path, "must be a network such as 10.0.0.0/8")
		case prefix != prefix.Masked():
			v.report(path, "%v has bits after the prefix: write %v", prefix, prefix.Masked())
		case prefix.Addr().Is4In6():
			v.report(path, "write it as an IPv4 network")
		}
	}
	for i, origin := range n.AllowOrigins {
		if !isOrigin(origin) {
			v.report(fmt.Sprintf("network.allow_origins[%d]", i),
				"must be scheme://host or scheme://host:port in lower case and nothing more, with http or https; "+
					"the port may be *")
		}
	}
	v.positive("network.connect_timeout", n.ConnectTimeout)
	if n.Proxy.Resolve != "here" && n.Proxy.Resolve != "proxy" {
		v.report("network.proxy.resolve", "must be here or proxy")
	}
	if err := n.Policy().Proxy.Validate(); err != nil {
		v.report("network.proxy", "%v", err)
	}
}
