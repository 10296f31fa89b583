package starter

import (
	"slices"

	"perdure/internal/connection"
	"perdure/internal/connector"
)

// shownConnector is a connector as a caller may see it. No secret is in it, as there is none in a connector.
type shownConnector struct {
	ID           string                 `json:"id"`
	Object       string                 `json:"object"`
	CreatedAt    int64                  `json:"created_at"`
	UpdatedAt    int64                  `json:"updated_at"`
	Owner        string                 `json:"owner"`
	Name         string                 `json:"name"`
	Description  string                 `json:"description"`
	URL          string                 `json:"url"`
	Transport    connector.Transport    `json:"transport"`
	Scope        connector.Scope        `json:"scope"`
	Auth         shownAuth              `json:"auth"`
	Headers      map[string]shownSecret `json:"headers"`
	Network      shownNetwork           `json:"network"`
	AllowedTools []string               `json:"allowed_tools"`
	Retry        shownRetry             `json:"retry"`
	Acknowledged bool                   `json:"acknowledged"`
	Shared       bool                   `json:"shared"`
	Enabled      bool                   `json:"enabled"`
	Restricted   *shownRestriction      `json:"restricted"`
	Vetting      *shownVetting          `json:"vetting"`
	Icon         *string                `json:"icon"` // the path of it; it changes with the icon
	Tag          connector.Tag          `json:"tag"`
	Status       shownStatus            `json:"status"`
	Server       *shownServer           `json:"server"` // what was found there; null: nobody has looked yet
	May          []connector.Action     `json:"may"`
}

// shownSecret stands where a secret is stored, or is not.
type shownSecret struct {
	Set bool `json:"set"`
}

type shownAuth struct {
	Type   connector.AuthType `json:"type"`
	Header string             `json:"header,omitempty"`
	Prefix string             `json:"prefix,omitempty"`
	APIKey *shownSecret       `json:"api_key,omitempty"`
	OAuth  *shownOAuth        `json:"oauth,omitempty"`
}

type shownOAuth struct {
	Grants       connector.GrantMode `json:"grants"`
	ClientID     string              `json:"client_id,omitempty"`
	ClientSecret shownSecret         `json:"client_secret"`
	ClientAuth   string              `json:"client_auth,omitempty"`
	Issuer       string              `json:"issuer,omitempty"`
	Scopes       []string            `json:"scopes,omitempty"`
	Resource     string              `json:"resource,omitempty"`
	OmitResource bool                `json:"omit_resource,omitempty"`
	Endpoints    connector.Endpoints `json:"endpoints,omitzero"`
	AllowNoPKCE  bool                `json:"allow_no_pkce,omitempty"`
}

type shownNetwork struct {
	Type         connector.Network `json:"type"`
	ClientID     *shownSecret      `json:"client_id,omitempty"`
	ClientSecret *shownSecret      `json:"client_secret,omitempty"`
}

type shownRetry struct {
	Default string            `json:"default"`
	Tools   map[string]string `json:"tools,omitempty"`
}

type shownRestriction struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
	At     int64  `json:"at"`
}

// shownVetting says which admin has looked at the connector, and whether it still is what they looked at.
type shownVetting struct {
	By      string `json:"by"`
	At      int64  `json:"at"`
	Current bool   `json:"current"`
}

type shownStatus struct {
	State   connector.State `json:"state"`
	Stage   string          `json:"stage,omitempty"`
	Message string          `json:"message"`
	At      *int64          `json:"at"`
}

type shownServer struct {
	At         int64        `json:"at"`
	Protocol   string       `json:"protocol"`
	Name       string       `json:"name"`
	Version    string       `json:"version"`
	Tools      []shownTool  `json:"tools"`
	ReviewedAt *int64       `json:"reviewed_at"`
	ReviewedBy string       `json:"reviewed_by"`
	Changes    []shownDrift `json:"changes"`
}

type shownTool struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	ReadOnly    bool   `json:"read_only"`
}

type shownDrift struct {
	Tool   string              `json:"tool"`
	Change connector.DriftKind `json:"change"`
}

func showConnector(v connection.View) shownConnector {
	c, s := v.Connector, v.Settings
	shown := shownConnector{
		ID: c.ID, Object: "connector", CreatedAt: c.Created.Unix(), UpdatedAt: c.Updated.Unix(), Owner: c.Owner,
		Name: s.Name, Description: s.Description, URL: s.URL, Transport: s.Transport, Scope: s.Scope,
		Auth: showAuth(c), Headers: map[string]shownSecret{}, Network: showNetwork(c), AllowedTools: s.AllowedTools,
		Retry: shownRetry(s.Retry), Acknowledged: s.Acknowledged, Shared: c.Shared, Enabled: c.Enabled,
		Tag:    v.Tag,
		Status: shownStatus{State: v.Status.State, Stage: v.Status.Stage, Message: v.Status.Message, At: unixOrNull(v.Status.At)},
		Server: showServer(v), May: v.May,
	}
	if shown.AllowedTools == nil {
		shown.AllowedTools = []string{}
	}
	for _, name := range s.Headers {
		shown.Headers[name] = secretOf(c, connector.HeaderValue(name))
	}
	if r := c.Restricted; r != nil {
		shown.Restricted = &shownRestriction{By: r.By, Reason: r.Reason, At: r.At.Unix()}
	}
	if vetting := c.Vetting; vetting != nil {
		shown.Vetting = &shownVetting{By: vetting.By, At: vetting.At.Unix(), Current: c.IsVetted()}
	}
	if c.Icon != "" {
		path := connectorsPath + "/" + c.ID + "/icon?v=" + c.Icon[:min(len(c.Icon), 16)]
		shown.Icon = &path
	}
	return shown
}

func secretOf(c connector.Connector, name connector.SecretName) shownSecret {
	return shownSecret{Set: slices.Contains(c.Stored, name)}
}

func showAuth(c connector.Connector) shownAuth {
	a := c.Settings.Auth
	shown := shownAuth{Type: a.Type, Header: a.Header, Prefix: a.Prefix}
	switch a.Type {
	case connector.AuthAPIKey:
		key := secretOf(c, connector.APIKey)
		shown.APIKey = &key
	case connector.AuthOAuth:
		o := a.OAuth
		shown.OAuth = &shownOAuth{
			Grants: o.Grants, ClientID: o.ClientID, ClientSecret: secretOf(c, connector.ClientSecret), ClientAuth: o.ClientAuth,
			Issuer: o.Issuer, Scopes: o.Scopes, Resource: o.Resource, OmitResource: o.OmitResource, Endpoints: o.Endpoints,
			AllowNoPKCE: o.AllowNoPKCE,
		}
	}
	return shown
}

func showNetwork(c connector.Connector) shownNetwork {
	shown := shownNetwork{Type: c.Settings.Network}
	if shown.Type == connector.CloudflareAccess {
		id, value := secretOf(c, connector.CloudflareID), secretOf(c, connector.CloudflareSecret)
		shown.ClientID, shown.ClientSecret = &id, &value
	}
	return shown
}

func showServer(v connection.View) *shownServer {
	p := v.Probe
	if p.At.IsZero() {
		return nil
	}
	shown := &shownServer{
		At: p.At.Unix(), Protocol: p.Protocol, Name: p.ServerName, Version: p.ServerVersion, Tools: []shownTool{},
		ReviewedAt: unixOrNull(p.ReviewedAt), ReviewedBy: p.ReviewedBy, Changes: []shownDrift{},
	}
	for _, t := range p.Tools {
		shown.Tools = append(shown.Tools, shownTool{Name: t.Name, Description: t.Description, ReadOnly: t.ReadOnly})
	}
	for _, d := range v.Drift {
		shown.Changes = append(shown.Changes, shownDrift{Tool: d.Tool, Change: d.Kind})
	}
	return shown
}
