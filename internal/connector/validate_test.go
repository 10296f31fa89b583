package connector_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"perdure/internal/connector"
	"perdure/internal/egress"
	"perdure/internal/mcpclient"
	"perdure/internal/secret"
)

// checks are those that the built program has.
func checks(t *testing.T) connector.Checks {
	t.Helper()
	rules, err := egress.NetworkPolicy{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return connector.Checks{URL: rules.CheckURL, Header: mcpclient.CheckHeader}
}

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func plain() connector.Settings {
	return connector.Settings{Name: "Acme CRM", URL: "https://mcp.acme.example/mcp", Acknowledged: true}
}

func with(change func(*connector.Settings)) connector.Settings {
	s := plain()
	change(&s)
	return s
}

func secrets(pairs ...string) connector.Secrets {
	s := connector.Secrets{}
	for i := 0; i < len(pairs); i += 2 {
		s[connector.SecretName(pairs[i])] = secret.New(pairs[i+1])
	}
	return s
}

func oauth(change func(*connector.OAuth)) connector.Settings {
	return with(func(s *connector.Settings) {
		s.Auth.Type = connector.AuthOAuth
		change(&s.Auth.OAuth)
	})
}

func TestNewFillsIn(t *testing.T) {
	t.Parallel()
	by := person("ann", "member")
	s := with(func(s *connector.Settings) {
		s.Name, s.URL = " Acme CRM ", " https://mcp.acme.example/mcp "
		s.Auth.Type, s.Headers = connector.AuthAPIKey, []string{"x-team"}
	})
	change, err := connector.New(by, s, secrets("auth.api_key", "k", "headers.X-TEAM", "crimson", "network.client_id", ""), checks(t), now)
	if err != nil {
		t.Fatal(err)
	}
	c := change.Connector
	if !connector.IsID(c.ID) || c.Organization != "acme" || c.Owner != "ann" || c.Version != 1 || c.Enabled || c.Shared || c.Status.State != connector.Pending {
		t.Errorf("a new connector is %+v", c)
	}
	got := c.Settings
	if got.Scope != connector.Individual || got.Transport != connector.StreamableHTTP || got.Network != connector.NetworkNone ||
		got.Name != "Acme CRM" || got.URL != "https://mcp.acme.example/mcp" || got.Retry.Default != connector.RetrySafe {
		t.Errorf("settings are %+v", got)
	}
	if header, value := got.Auth.SendsAPIKey("k"); header != "Authorization" || value != "Bearer k" {
		t.Errorf("the key is sent as %s: %s", header, value)
	}
	if fmt.Sprint(c.Stored) != "[auth.api_key headers.X-Team]" || change.Given["headers.X-Team"].Reveal() != "crimson" {
		t.Errorf("stored %v, given %v", c.Stored, change.Given)
	}
	if text := fmt.Sprintf("%+v %#v", change, change.Given); strings.Contains(text, "crimson") {
		t.Error("a secret is printed")
	}
}

func TestAPIKeyIsSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ header, prefix, wantHeader, want string }{
		{"", "", "Authorization", "Bearer k"},
		{"", "Token", "Authorization", "Token k"},
		{"authorization", "", "Authorization", "k"},
		{"x-api-key", "", "X-Api-Key", "k"},
		{"X-Api-Key", " Key ", "X-Api-Key", "Key k"},
	} {
		s := with(func(s *connector.Settings) {
			s.Auth = connector.Auth{Type: connector.AuthAPIKey, Header: tt.header, Prefix: tt.prefix}
		})
		change, err := connector.New(person("ann", "member"), s, secrets("auth.api_key", "k"), checks(t), now)
		if err != nil {
			t.Fatal(err)
		}
		if header, value := change.Connector.Settings.Auth.SendsAPIKey("k"); header != tt.wantHeader || value != tt.want {
			t.Errorf("header %q, prefix %q: sent as %s: %s", tt.header, tt.prefix, header, value)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 20000)
	header := func(names ...string) connector.Settings {
		return with(func(s *connector.Settings) { s.Headers = names })
	}
	apiKey := func(header, prefix string) connector.Settings {
		return with(func(s *connector.Settings) {
			s.Auth = connector.Auth{Type: connector.AuthAPIKey, Header: header, Prefix: prefix}
		})
	}
	cloudflare := with(func(s *connector.Settings) { s.Network = connector.CloudflareAccess })
	forAll := func(s connector.Settings) connector.Settings { s.Scope = connector.Organization; return s }
	for name, tt := range map[string]struct {
		s     connector.Settings
		given connector.Secrets
		want  []string // param: part of the message; empty: valid
	}{
		"plain":            {plain(), nil, nil},
		"nothing":          {connector.Settings{}, nil, []string{"name: is missing", "url: is missing", "acknowledged: must be true"}},
		"not acknowledged": {with(func(s *connector.Settings) { s.Acknowledged = false }), nil, []string{"acknowledged: must be true"}},
		"unknown words": {with(func(s *connector.Settings) {
			s.Scope, s.Transport, s.Network, s.Auth.Type = "all", "stdio", "vpn", "basic"
		}), nil, []string{"scope: must be individual or organization", "transport: must be streamable_http or sse", "auth.type: must be none, api_key or oauth", "network.type: must be none or cloudflare_access"}},
		"SSE":               {with(func(s *connector.Settings) { s.Transport = connector.SSE }), nil, nil},
		"http":              {with(func(s *connector.Settings) { s.URL = "http://mcp.acme.example" }), nil, []string{"url: the URL must begin with https://"}},
		"private address":   {with(func(s *connector.Settings) { s.URL = "https://10.0.0.1/mcp" }), nil, []string{"url: the URL names an address that is not public"}},
		"metadata service":  {with(func(s *connector.Settings) { s.URL = "https://169.254.169.254/" }), nil, []string{"url: "}},
		"localhost":         {with(func(s *connector.Settings) { s.URL = "https://localhost/" }), nil, []string{"url: the URL names this machine"}},
		"password":          {with(func(s *connector.Settings) { s.URL = "https://u:hunter2@mcp.acme.example" }), nil, []string{"url: the URL holds a user name or password"}},
		"fragment":          {with(func(s *connector.Settings) { s.URL = "https://mcp.acme.example/#x" }), nil, []string{"url: the URL has a fragment"}},
		"not a URL":         {with(func(s *connector.Settings) { s.URL = "acme" }), nil, []string{"url: "}},
		"long name":         {with(func(s *connector.Settings) { s.Name = strings.Repeat("é", 101) }), nil, []string{"name: is longer than 100 characters"}},
		"name of 100":       {with(func(s *connector.Settings) { s.Name = strings.Repeat("é", 100) }), nil, nil},
		"name turned round": {with(func(s *connector.Settings) { s.Name = "ac\u202eme" }), nil, []string{"name: has a control or invisible character"}},
		"name of two lines": {with(func(s *connector.Settings) { s.Name = "a\nb" }), nil, []string{"name: has a control"}},
		"broken name":       {with(func(s *connector.Settings) { s.Name = "a\xff" }), nil, []string{"name: is not valid UTF-8"}},
		"family":            {with(func(s *connector.Settings) { s.Name = "👩‍👧" }), nil, nil},
		"long description":  {with(func(s *connector.Settings) { s.Description = long }), nil, []string{"description: is longer"}},
		"lines described":   {with(func(s *connector.Settings) { s.Description = "a\nb" }), nil, nil},

		"API key":                 {apiKey("", ""), secrets("auth.api_key", "k"), nil},
		"no API key":              {apiKey("", ""), nil, []string{"auth.api_key: is missing"}},
		"API key of two lines":    {apiKey("", ""), secrets("auth.api_key", "hunter\n2"), []string{"auth.api_key: must be visible ASCII"}},
		"long API key":            {apiKey("", ""), secrets("auth.api_key", long), []string{"auth.api_key: is longer than 8192 bytes"}},
		"API key in MCP's header": {apiKey("mcp-session-id", ""), secrets("auth.api_key", "k"), []string{"auth.header: header \"Mcp-Session-Id\" is set by the client"}},
		"API key as Cloudflare's": {apiKey("cf-access-client-id", ""), secrets("auth.api_key", "k"), []string{"auth.header: belongs to Cloudflare Access"}},
		"API key in no header":    {apiKey("a b", ""), secrets("auth.api_key", "k"), []string{"auth.header: a header has a name with"}},
		"prefix of two words":     {apiKey("", "a b"), secrets("auth.api_key", "k"), []string{"auth.prefix: must be"}},
		"long prefix":             {apiKey("", strings.Repeat("x", 33)), secrets("auth.api_key", "k"), []string{"auth.prefix: must be"}},
		"API key without use":     {plain(), secrets("auth.api_key", "k"), []string{"auth.api_key: is given, and the settings have no use for it"}},
		"header without use":      {with(func(s *connector.Settings) { s.Auth.Header = "X-Key" }), nil, []string{"auth.header: and auth.prefix are for"}},

		"Cloudflare":              {cloudflare, secrets("network.client_id", "a.access", "network.client_secret", "b"), nil},
		"half of Cloudflare":      {cloudflare, secrets("network.client_id", "a.access"), []string{"network.client_secret: is missing: Cloudflare Access needs the service token's client ID and its client secret, both"}},
		"other half":              {cloudflare, secrets("network.client_secret", "b", "network.client_id", ""), []string{"network.client_id: is missing"}},
		"Cloudflare without both": {cloudflare, nil, []string{"network.client_id: is missing", "network.client_secret: is missing"}},
		"Cloudflare not chosen":   {plain(), secrets("network.client_id", "a"), []string{"network.client_id: is given"}},
		"Cloudflare and API key": {
			with(func(s *connector.Settings) { s.Network, s.Auth.Type = connector.CloudflareAccess, connector.AuthAPIKey }),
			secrets("network.client_id", "a", "network.client_secret", "b", "auth.api_key", "k"), nil,
		},
		"Cloudflare and OAuth": {
			with(func(s *connector.Settings) { s.Network, s.Auth.Type = connector.CloudflareAccess, connector.AuthOAuth }),
			secrets("network.client_id", "a", "network.client_secret", "b"), nil,
		},

		"header":             {header("x-team"), secrets("headers.X-Team", "red"), nil},
		"header unset":       {header("x-team"), nil, []string{"headers.X-Team: is missing"}},
		"header not named":   {plain(), secrets("headers.x-team", "red"), []string{"headers.X-Team: is given"}},
		"header twice":       {header("x-team", "X-TEAM"), secrets("headers.X-Team", "red"), []string{"headers.X-Team: is given twice"}},
		"header of 2 lines":  {header("x-team"), secrets("headers.X-Team", "hunter\r\n2"), []string{"headers.X-Team: header \"X-Team\" has a value with a character outside"}},
		"own authorization":  {header("authorization"), secrets("headers.authorization", "Basic abc"), nil},
		"OAuth and the like": {with(func(s *connector.Settings) { s.Auth.Type, s.Headers = connector.AuthOAuth, []string{"Authorization"} }), secrets("headers.authorization", "x"), []string{"headers.Authorization: carries the OAuth token already"}},
		"API key twice":      {with(func(s *connector.Settings) { s.Auth.Type, s.Headers = connector.AuthAPIKey, []string{"authorization"} }), secrets("headers.authorization", "x", "auth.api_key", "k"), []string{"headers.Authorization: carries the API key already"}},
		"Cloudflare by hand": {header("CF-Access-Client-Id"), secrets("headers.CF-Access-Client-Id", "x"), []string{"headers.Cf-Access-Client-Id: belongs to Cloudflare Access"}},

		"OAuth":               {oauth(func(*connector.OAuth) {}), nil, nil},
		"static client":       {oauth(func(o *connector.OAuth) { o.ClientID = "a client"; o.ClientAuth = "client_secret_post" }), secrets("auth.oauth.client_secret", "s"), nil},
		"public client":       {oauth(func(o *connector.OAuth) { o.ClientID = "id" }), nil, nil},
		"secret of no client": {oauth(func(*connector.OAuth) {}), secrets("auth.oauth.client_secret", "s"), []string{"auth.oauth.client_secret: is given"}},
		"issuer of no client": {oauth(func(o *connector.OAuth) { o.Issuer = "https://as.example" }), nil, []string{"auth.oauth.client_id: is missing"}},
		"client with newline": {oauth(func(o *connector.OAuth) { o.ClientID = "a\nb" }), nil, []string{"auth.oauth.client_id: must be"}},
		"unknown client auth": {oauth(func(o *connector.OAuth) { o.ClientID, o.ClientAuth = "id", "private_key_jwt" }), nil, []string{"auth.oauth.client_auth: must be"}},
		"issuer at http":      {oauth(func(o *connector.OAuth) { o.ClientID, o.Issuer = "id", "http://as.example" }), nil, []string{"auth.oauth.issuer: the URL must begin with https://"}},
		"scopes":              {oauth(func(o *connector.OAuth) { o.Scopes = []string{"read", "api://x/.default"} }), nil, nil},
		"scope with a space":  {oauth(func(o *connector.OAuth) { o.Scopes = []string{"read write"} }), nil, []string{"auth.oauth.scopes: has one that cannot be a scope"}},
		"scope twice":         {oauth(func(o *connector.OAuth) { o.Scopes = []string{"a", "a"} }), nil, []string{"auth.oauth.scopes: \"a\" is listed twice"}},
		"many scopes":         {oauth(func(o *connector.OAuth) { o.Scopes = numbered(65) }), nil, []string{"auth.oauth.scopes: has 65 scopes"}},
		"resource":            {oauth(func(o *connector.OAuth) { o.Resource = "api://0000-1111" }), nil, nil},
		"relative resource":   {oauth(func(o *connector.OAuth) { o.Resource = "mcp" }), nil, []string{"auth.oauth.resource: must be an absolute URI"}},
		"resource and none":   {oauth(func(o *connector.OAuth) { o.Resource, o.OmitResource = "api://x", true }), nil, []string{"auth.oauth.resource: is set beside omit_resource"}},
		"half of endpoints":   {oauth(func(o *connector.OAuth) { o.Endpoints.Token = "https://as.example/t" }), nil, []string{"auth.oauth.endpoints: must have authorization and token"}},
		"endpoints, no client": {oauth(func(o *connector.OAuth) {
			o.Endpoints = connector.Endpoints{Authorization: "https://as.example/a", Token: "https://as.example/t"}
		}), nil, []string{"auth.oauth.client_id: is missing: without discovery"}},
		"endpoints": {oauth(func(o *connector.OAuth) {
			o.ClientID = "id"
			o.Endpoints = connector.Endpoints{Authorization: "https://as.example/a", Token: "https://as.example/t"}
		}), nil, nil},
		"endpoint inside": {oauth(func(o *connector.OAuth) {
			o.ClientID = "id"
			o.Endpoints = connector.Endpoints{Authorization: "https://as.example/a", Token: "https://127.0.0.1/t"}
		}), nil, []string{"auth.oauth.endpoints.token: the URL names an address that is not public"}},
		"one grant for one": {oauth(func(o *connector.OAuth) { o.Grants = connector.GrantShared }), nil, []string{"auth.oauth.grants: must be each"}},
		"one grant for all": {forAll(oauth(func(o *connector.OAuth) { o.Grants = connector.GrantShared })), nil, nil},
		"a grant for each":  {forAll(oauth(func(o *connector.OAuth) { o.Grants = connector.GrantEach })), nil, nil},
		"unknown grants":    {forAll(oauth(func(o *connector.OAuth) { o.Grants = "some" })), nil, []string{"auth.oauth.grants: must be shared or each"}},
		"OAuth without use": {with(func(s *connector.Settings) { s.Auth.OAuth.ClientID = "id" }), nil, []string{"auth.oauth: is for authentication by OAuth"}},

		"tools":           {with(func(s *connector.Settings) { s.AllowedTools = []string{"a.b/c", "Ünï"} }), nil, nil},
		"tool twice":      {with(func(s *connector.Settings) { s.AllowedTools = []string{"a", "a"} }), nil, []string{"allowed_tools: \"a\" is listed twice"}},
		"tool of nothing": {with(func(s *connector.Settings) { s.AllowedTools = []string{""} }), nil, []string{"allowed_tools: has a name that no tool can have"}},
		"hidden tool":     {with(func(s *connector.Settings) { s.AllowedTools = []string{"a\x1b[31m"} }), nil, []string{"allowed_tools: has a name"}},
		"many tools":      {with(func(s *connector.Settings) { s.AllowedTools = numbered(129) }), nil, []string{"allowed_tools: has 129 tools"}},
		"retry": {with(func(s *connector.Settings) {
			s.Retry = connector.Retry{Default: "never", Tools: map[string]string{"a": "always", "b": "safe"}}
		}), nil, nil},
		"unknown retry": {with(func(s *connector.Settings) {
			s.Retry = connector.Retry{Default: "often", Tools: map[string]string{"a": "twice", "": "safe"}}
		}), nil, []string{"retry.default: must be safe", "retry.tools: has a name", "retry.tools.a: must be safe"}},
		"retry, many": {with(func(s *connector.Settings) {
			s.Retry.Tools = map[string]string{}
			for _, n := range numbered(129) {
				s.Retry.Tools[n] = "safe"
			}
		}), nil, []string{"retry.tools: has 129 tools"}},
		"many headers": {header(numbered(21)...), values(21), []string{"headers: has 21 headers"}},
		"20 headers":   {header(numbered(20)...), values(20), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := connector.New(person("ann", "admin"), tt.s, tt.given, checks(t), now)
			if len(tt.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var invalid connector.Invalid
			if !errors.As(err, &invalid) {
				t.Fatalf("error %v is no Invalid", err)
			}
			if len(invalid) != len(tt.want) {
				t.Errorf("%d problems, want %d:\n%v", len(invalid), len(tt.want), err)
			}
			for _, want := range tt.want {
				if !strings.Contains("\n"+err.Error(), "\n"+want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i)
	}
	return names
}

func values(n int) connector.Secrets {
	s := connector.Secrets{}
	for _, name := range numbered(n) {
		s[connector.HeaderValue(name)] = secret.New("v")
	}
	return s
}

// A nil Invalid must not become an error that is not nil.
func TestValidIsNil(t *testing.T) {
	t.Parallel()
	if _, err := connector.New(person("ann", "member"), plain(), nil, checks(t), now); err != nil {
		t.Errorf("%#v", err)
	}
}
