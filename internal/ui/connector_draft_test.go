package ui

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/connector"
)

// parse reads fields as lines of NAME=VALUE.
func parse(t *testing.T, lines string) url.Values {
	t.Helper()
	v := url.Values{}
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			t.Fatalf("%q is no field", line)
		}
		v.Add(name, value)
	}
	return v
}

// everything is what a browser sends that shows all fields, whatever is chosen.
const everything = `name=Acme
	url=https://mcp.example.com/mcp
	transport=sse
	auth.header=X-Api-Key
	auth.prefix=Key
	auth.api_key=the-key
	auth.oauth.grants=each
	auth.oauth.client_id= the-client
	auth.oauth.client_secret=the-client-secret
	auth.oauth.client_auth=client_secret_post
	auth.oauth.issuer=https://as.example.com
	auth.oauth.scopes= read  write
	auth.oauth.resource=
	auth.oauth.allow_no_pkce=on
	auth.oauth.endpoints.authorization=https://as.example.com/authorize
	auth.oauth.endpoints.token=https://as.example.com/token
	network.client_id=the-id.access
	network.client_secret=the-secret
	header.0.name=X-Tenant
	header.0.value=seven
	header.1.name=X-Gone
	header.1.value=eight
	header.1.remove=on
	header.2.name=
	header.2.value=
	header.21.name=X-Last
	header.22.name=X-Beyond
	acknowledged=on`

func TestDraftOf(t *testing.T) {
	t.Parallel()
	base := connector.Settings{
		Scope: connector.Individual, AllowedTools: []string{"echo"}, Retry: connector.Retry{Default: connector.RetryNever},
		Auth: connector.Auth{Type: connector.AuthAPIKey, Header: "Before"},
	}
	settings := func(change func(*connector.Settings)) connector.Settings {
		s := base
		s.Name, s.URL, s.Transport, s.Acknowledged = "Acme", "https://mcp.example.com/mcp", connector.SSE, true
		s.Headers = []string{"X-Tenant", "X-Last"}
		change(&s)
		return s
	}
	oauth := connector.OAuth{
		ClientID: "the-client", ClientAuth: "client_secret_post", Issuer: "https://as.example.com", Scopes: []string{"read", "write"}, AllowNoPKCE: true,
		Endpoints: connector.Endpoints{Authorization: "https://as.example.com/authorize", Token: "https://as.example.com/token"},
	}
	for name, tt := range map[string]struct {
		chosen  string
		scope   connector.Scope
		want    connector.Settings
		secrets string
	}{
		"an API key": {
			"auth.type=api_key\nnetwork.type=none", connector.Individual,
			settings(func(s *connector.Settings) {
				s.Auth = connector.Auth{Type: connector.AuthAPIKey, Header: "X-Api-Key", Prefix: "Key"}
				s.Network = connector.NetworkNone
			}),
			"auth.api_key=the-key headers.X-Tenant=seven",
		},
		"OAuth behind Cloudflare Access": {
			"auth.type=oauth\nnetwork.type=cloudflare_access", connector.Individual,
			settings(func(s *connector.Settings) {
				s.Auth = connector.Auth{Type: connector.AuthOAuth, OAuth: oauth}
				s.Network = connector.CloudflareAccess
			}),
			"auth.oauth.client_secret=the-client-secret headers.X-Tenant=seven network.client_id=the-id.access network.client_secret=the-secret",
		},
		"OAuth for the organization": {
			"auth.type=oauth\nnetwork.type=none", connector.Organization,
			settings(func(s *connector.Settings) {
				s.Scope = connector.Organization
				s.Auth = connector.Auth{Type: connector.AuthOAuth, OAuth: oauth}
				s.Auth.OAuth.Grants = connector.GrantEach
				s.Network = connector.NetworkNone
			}),
			"auth.oauth.client_secret=the-client-secret headers.X-Tenant=seven",
		},
		"nothing": {
			"auth.type=none\nnetwork.type=none", connector.Individual,
			settings(func(s *connector.Settings) {
				s.Auth = connector.Auth{Type: connector.AuthNone}
				s.Network = connector.NetworkNone
			}),
			"headers.X-Tenant=seven",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := base
			from.Scope = tt.scope
			d := draftOf(parse(t, everything+"\n"+tt.chosen), from, nil)
			if diff := cmp.Diff(tt.want, d.Settings); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			var secrets []string
			for _, name := range []connector.SecretName{
				connector.APIKey, connector.ClientSecret, "headers.X-Gone", "headers.X-Tenant", connector.CloudflareID, connector.CloudflareSecret,
			} {
				if value, ok := d.Secrets[name]; ok {
					secrets = append(secrets, string(name)+"="+value.Reveal())
				}
			}
			if got := strings.Join(secrets, " "); got != tt.secrets || len(secrets) != len(d.Secrets) {
				t.Errorf("the secrets are %s, %d of them; want %s", got, len(d.Secrets), tt.secrets)
			}
		})
	}
}

func TestOffer(t *testing.T) {
	t.Parallel()
	probe := connector.Probe{Tools: []connector.Tool{{Name: "a"}, {Name: "b"}}}
	for _, tt := range []struct {
		fields  string
		allowed []string // before
		some    bool
		want    []toolChoice
	}{
		{"name=x", []string{"b"}, true, []toolChoice{{"a", false, false}, {"b", true, false}}}, // a form without the field
		{"tools=all\ntool=a", []string{"b"}, false, []toolChoice{{"a", true, false}, {"b", true, false}}},
		{"tools=some", []string{"b"}, true, []toolChoice{{"a", false, false}, {"b", false, false}}},
		{"tools=some\ntool=a\ntool=gone", nil, true, []toolChoice{{"a", true, false}, {"b", false, false}, {"gone", true, true}}},
	} {
		var form connectorForm
		form.Settings = draftOf(parse(t, tt.fields), connector.Settings{AllowedTools: tt.allowed}, nil).Settings
		form.offer(probe, tt.some)
		if diff := cmp.Diff(tt.want, form.Tools); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.fields, diff)
		}
	}
}

// An empty field of a secret keeps what is stored, and browsers have line breaks of their own.
func TestDraftOfLittle(t *testing.T) {
	t.Parallel()
	v := url.Values{"auth.type": {"api_key"}, "auth.api_key": {""}, "description": {"two\r\nlines"}}
	d := draftOf(v, connector.Settings{}, []byte("picture"))
	if len(d.Secrets) != 0 || d.Settings.Description != "two\nlines" || string(d.Icon) != "picture" || d.Settings.Acknowledged || d.Settings.Headers != nil {
		t.Errorf("got %+v", d)
	}
}
