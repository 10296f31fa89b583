package connection

import (
	"net/http"

	"perdure/internal/cfaccess"
	"perdure/internal/connector"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
)

// server is a connector's server as the MCP client needs it, without an access token.
func server(label string, c connector.Connector, secrets connector.Secrets) mcpclient.Server {
	s := mcpclient.Server{
		Label: label, URL: c.Settings.URL, Header: networkHeader(c, secrets), Version: c.Probe.Protocol, Transport: mcpclient.Streamable,
	}
	if c.Settings.Transport == connector.SSE {
		s.Transport = mcpclient.SSE
	}
	for name, value := range secrets {
		if header, ok := name.Header(); ok {
			s.Header.Set(header, value.Reveal())
		}
	}
	if c.Settings.Auth.Type == connector.AuthAPIKey {
		header, value := c.Settings.Auth.SendsAPIKey(secrets[connector.APIKey].Reveal())
		s.Header.Set(header, value)
	}
	return s
}

// networkHeader is what passes the network in front of the server.
func networkHeader(c connector.Connector, secrets connector.Secrets) http.Header {
	h := http.Header{}
	if c.Settings.Network == connector.CloudflareAccess {
		h.Set(cfaccess.ClientIDHeader, secrets[connector.CloudflareID].Reveal())
		h.Set(cfaccess.ClientSecretHeader, secrets[connector.CloudflareSecret].Reveal())
	}
	return h
}

// authorizing is a connector as the OAuth client needs it.
func authorizing(c connector.Connector, secrets connector.Secrets) oauth.Connector {
	o := c.Settings.Auth.OAuth
	con := oauth.Connector{
		URL: c.Settings.URL, Header: networkHeader(c, secrets), Scopes: o.Scopes, Resource: o.Resource, OmitResource: o.OmitResource,
		AllowNoPKCE: o.AllowNoPKCE,
		Endpoints:   oauth.Endpoints(o.Endpoints),
	}
	if o.ClientID != "" {
		con.Client = &oauth.StaticClient{
			ID: o.ClientID, Secret: secrets[connector.ClientSecret], AuthMethod: oauth.AuthMethod(o.ClientAuth), Issuer: o.Issuer,
		}
	}
	return con
}
