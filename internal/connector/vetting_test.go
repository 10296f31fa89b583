package connector_test

import (
	"strings"
	"testing"

	"perdure/internal/connector"
)

// What an admin has looked at is to be looked at again once it is something else, whoever made it so.
func TestVetting(t *testing.T) {
	t.Parallel()
	vetted := func() connector.Connector {
		c := connector.Connector{Owner: "ann", Settings: connector.Settings{
			Name: "Acme", URL: "https://mcp.example.com/mcp", Transport: connector.StreamableHTTP, Network: connector.NetworkNone,
		}}
		c.Probe = c.Probe.Found(connector.Probe{At: now, Tools: tools("one")})
		v := c.Vet("ada", now)
		c.Vetting = &v
		return c
	}
	for name, tt := range map[string]struct {
		change func(*connector.Connector)
		want   bool
	}{
		"as it was":               {func(*connector.Connector) {}, true},
		"another name":            {func(c *connector.Connector) { c.Settings.Name = "Umbrella" }, true},
		"another look, the same":  {func(c *connector.Connector) { c.Probe = c.Probe.Found(connector.Probe{At: now, Tools: tools("one")}) }, true},
		"another server":          {func(c *connector.Connector) { c.Settings.URL = "https://mcp.example.org/mcp" }, false},
		"another path":            {func(c *connector.Connector) { c.Settings.URL += "/admin" }, false},
		"another transport":       {func(c *connector.Connector) { c.Settings.Transport = connector.SSE }, false},
		"another authentication":  {func(c *connector.Connector) { c.Settings.Auth.Type = connector.AuthOAuth }, false},
		"another network":         {func(c *connector.Connector) { c.Settings.Network = connector.CloudflareAccess }, false},
		"a tool says other words": {func(c *connector.Connector) { c.Probe = c.Probe.Found(connector.Probe{At: now, Tools: tools("two")}) }, false},
		"no tools":                {func(c *connector.Connector) { c.Probe = connector.Probe{} }, false},
		"nobody has looked":       {func(c *connector.Connector) { c.Vetting = nil }, false},
	} {
		c := vetted()
		tt.change(&c)
		if c.IsVetted() != tt.want {
			t.Errorf("%s: vetted is %v", name, c.IsVetted())
		}
	}
}

func TestCheckReason(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"": "", "sends data\nto an unknown host": "", strings.Repeat("é", connector.MaxReason): "",
		strings.Repeat("é", connector.MaxReason+1): "longer than 500", "\u202ereversed": "invisible", "\x1b[31m": "control", "\xff": "UTF-8",
	} {
		err := connector.CheckReason(reason)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", reason, err, want)
		}
	}
}
