package connection

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/store"
)

// AuthorizePath is where a signed-in browser begins an authorization, with the connector's ID as the parameter "connector".
const AuthorizePath = "/rest/connections/authorize"

// PagePath is the page on which people manage their connectors.
const PagePath = "/settings/connectors"

// Options are what a [Service] needs. All are required, but for PublicURL.
type Options struct {
	Store  *store.Store
	MCP    *mcpclient.Client
	OAuth  *oauth.Client
	Logger *slog.Logger
	// PublicURL is the origin under which browsers reach us. Without it, who is to authorize a connector is told of the API instead.
	PublicURL string
}

// Service is safe for concurrent use. It keeps nothing: any process of a deployment may serve any call.
type Service struct {
	Options
	checks connector.Checks
	now    func() time.Time
}

// New returns a service.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.MCP == nil || o.OAuth == nil || o.Logger == nil {
		return nil, errors.New("connection: every option is required but the public URL")
	}
	return &Service{
		Options: o, now: time.Now,
		checks: connector.Checks{URL: o.MCP.CheckURL, Header: mcpclient.CheckHeader},
	}, nil
}

// A Caller is who wants something, and from where.
type Caller struct {
	identity.Principal
	Address string // an IP address, for the audit log
}

func (c Caller) actor() identity.Actor { return c.Acts(c.Address) }

// page is where a person authorizes a connector.
func (s *Service) page(id string) string {
	if s.PublicURL == "" {
		return "POST /v1/connectors/" + id + "/authorize"
	}
	return s.PublicURL + AuthorizePath + "?" + url.Values{"connector": {id}}.Encode()
}

// allowed returns a connector of the caller's organization with which the caller may do something. Its error is one of the rules, or of the
// store.
func (s *Service) allowed(ctx context.Context, by Caller, id string, action connector.Action) (connector.Connector, error) {
	if !connector.IsID(id) {
		return connector.Connector{}, connector.ErrHidden
	}
	c, err := s.Store.Connector(ctx, by.Organization, id)
	if errors.Is(err, store.ErrNotFound) {
		return connector.Connector{}, connector.ErrHidden
	}
	if err != nil {
		return connector.Connector{}, err
	}
	return c, connector.May(by.Principal, c, action)
}

// hidden is err, but for a connector that was deleted meanwhile.
func hidden(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return connector.ErrHidden
	}
	return err
}
