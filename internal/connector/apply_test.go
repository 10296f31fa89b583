package connector_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"perdure/internal/connector"
)

// made is a connector with every secret there is, but those that exclude each other.
func made(t *testing.T, auth connector.AuthType) connector.Connector {
	t.Helper()
	s := with(func(s *connector.Settings) {
		s.Scope, s.Network, s.Headers, s.Auth.Type = connector.Organization, connector.CloudflareAccess, []string{"X-Team"}, auth
		if auth == connector.AuthOAuth {
			s.Auth.OAuth.ClientID = "id"
		}
	})
	given := secrets("network.client_id", "a", "network.client_secret", "b", "headers.X-Team", "red")
	if auth == connector.AuthOAuth {
		given = merge(given, secrets("auth.oauth.client_secret", "s"))
	} else {
		given = merge(given, secrets("auth.api_key", "k"))
	}
	change, err := connector.New(person("ada", "admin"), s, given, checks(t), now)
	if err != nil {
		t.Fatal(err)
	}
	c := change.Connector
	c.Probe = connector.Probe{}.Found(connector.Probe{At: now, Tools: []connector.Tool{connector.NewTool("a", "", nil, false)}})
	c.Status = connector.Status{State: connector.Connected, At: now}
	return c
}

func merge(a, b connector.Secrets) connector.Secrets {
	for name, value := range b {
		a[name] = value
	}
	return a
}

func TestApply(t *testing.T) {
	t.Parallel()
	const all = "[auth.oauth.client_secret headers.X-Team network.client_id network.client_secret]"
	for name, tt := range map[string]struct {
		change  func(*connector.Settings)
		given   connector.Secrets
		stored  string
		dropped string
		regrant bool
		want    []string // problems
	}{
		"nothing":            {func(*connector.Settings) {}, nil, all, "[]", false, nil},
		"its name":           {func(s *connector.Settings) { s.Name = "B" }, nil, all, "[]", false, nil},
		"the path":           {func(s *connector.Settings) { s.URL = "https://MCP.acme.example:443/sse" }, nil, all, "[]", false, nil},
		"a value":            {func(*connector.Settings) {}, secrets("headers.x-team", "blue"), all, "[]", false, nil},
		"no header any more": {func(s *connector.Settings) { s.Headers = nil }, nil, "[auth.oauth.client_secret network.client_id network.client_secret]", "[headers.X-Team]", false, nil},
		"no Cloudflare":      {func(s *connector.Settings) { s.Network = connector.NetworkNone }, nil, "[auth.oauth.client_secret headers.X-Team]", "[network.client_id network.client_secret]", false, nil},
		"a new header":       {func(s *connector.Settings) { s.Headers = []string{"X-Team", "X-New"} }, nil, "", "", false, []string{"headers.X-New: is missing"}},
		"scopes":             {func(s *connector.Settings) { s.Auth.OAuth.Scopes = []string{"more"} }, nil, all, "[]", true, nil},
		"whose grant":        {func(s *connector.Settings) { s.Auth.OAuth.Grants = connector.GrantEach }, nil, all, "[]", true, nil},
		"another client":     {func(s *connector.Settings) { s.Auth.OAuth.ClientID = "other" }, nil, "[headers.X-Team network.client_id network.client_secret]", "[auth.oauth.client_secret]", true, nil},
		"another token URL": {func(s *connector.Settings) {
			s.Auth.OAuth.Endpoints = connector.Endpoints{Authorization: "https://as.example/a", Token: "https://evil.example/t"}
		}, nil, "[headers.X-Team network.client_id network.client_secret]", "[auth.oauth.client_secret]", true, nil},
		"another issuer":        {func(s *connector.Settings) { s.Auth.OAuth.Issuer = "https://evil.example" }, nil, "[headers.X-Team network.client_id network.client_secret]", "[auth.oauth.client_secret]", true, nil},
		"no OAuth":              {func(s *connector.Settings) { s.Auth = connector.Auth{} }, nil, "[headers.X-Team network.client_id network.client_secret]", "[auth.oauth.client_secret]", true, nil},
		"scope":                 {func(s *connector.Settings) { s.Scope, s.Auth.OAuth.Grants = connector.Individual, "" }, nil, "", "", false, []string{"scope: cannot be changed"}},
		"another server":        {func(s *connector.Settings) { s.URL = "https://evil.example" }, nil, "", "", false, []string{"network.client_id: has to be entered again", "network.client_secret: has to be entered again", "headers.X-Team: has to be entered again"}},
		"another port":          {func(s *connector.Settings) { s.URL = "https://mcp.acme.example:8443" }, nil, "", "", false, []string{"network.client_id: has", "network.client_secret: has", "headers.X-Team: has"}},
		"another server, again": {func(s *connector.Settings) { s.URL = "https://new.example" }, secrets("headers.X-Team", "x", "network.client_id", "c", "network.client_secret", "d"), "[headers.X-Team network.client_id network.client_secret]", "[auth.oauth.client_secret]", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := made(t, connector.AuthOAuth)
			s := c.Settings
			tt.change(&s)
			change, err := c.Apply(s, tt.given, checks(t), now.Add(time.Minute))
			if len(tt.want) > 0 {
				var invalid connector.Invalid
				if !errors.As(err, &invalid) || len(invalid) != len(tt.want) {
					t.Fatalf("error %v, want %d problems", err, len(tt.want))
				}
				for i, want := range tt.want {
					if got := invalid[i].Param + ": " + invalid[i].Message; !strings.HasPrefix(got, want) {
						t.Errorf("problem %q, want %q", got, want)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := change.Connector
			if fmt.Sprint(got.Stored) != tt.stored || fmt.Sprint(change.Dropped) != tt.dropped || change.Regrant != tt.regrant {
				t.Errorf("stored %v, dropped %v, regrant %v", got.Stored, change.Dropped, change.Regrant)
			}
			if got.ID != c.ID || got.Owner != c.Owner || got.Version != c.Version || !got.Updated.After(c.Updated) || got.Status.State != connector.Pending {
				t.Errorf("the connector is %+v", got)
			}
			if moved := strings.Contains(s.URL, "new.example"); (len(got.Probe.Tools) == 0) != moved {
				t.Errorf("tools are %v", got.Probe.Tools)
			}
		})
	}
}

// An API key follows no change of the server, and needs none where the server stays.
func TestApplyKeepsAPIKey(t *testing.T) {
	t.Parallel()
	c := made(t, connector.AuthAPIKey)
	s := c.Settings
	s.Auth.Header, s.Auth.Prefix = "X-Key", ""
	if _, err := c.Apply(s, nil, checks(t), now); err != nil {
		t.Error(err)
	}
	s.URL = "https://evil.example/mcp"
	if _, err := c.Apply(s, nil, checks(t), now); err == nil || !strings.Contains(err.Error(), "auth.api_key: has to be entered again, because it would now be sent to another place") {
		t.Errorf("another server: %v", err)
	}
}
