package starter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"perdure/activities"
	"perdure/internal/blob"
	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// validateConnector checks what needs no look at the connector.
func (k *Intake) validateConnector(path string, t *responses.MCPTool) error {
	if k.Connections == nil {
		return responses.Invalid(path+"connector_id", "this server keeps no connectors: its operator has to set database.url or data.dir")
	}
	if !connector.IsID(t.ConnectorID) {
		return noConnector(path, t)
	}
	return nil
}

// runServer returns an MCP server of a request as history may know it.
func (k *Intake) runServer(ctx context.Context, store *blob.Store, who identity.Principal, responseID, path string, t *responses.MCPTool) (activities.Server, error) {
	if t.ConnectorID == "" {
		server, err := activities.SealServer(ctx, store, k.Sealer, responseID, t)
		server.Retry = k.Retry(server.Origin)
		if err != nil {
			return server, err
		}
		fingerprints, err := activities.EndpointFingerprints(k.Sealer, who.Organization, t)
		if err == nil {
			server.Fingerprint = fingerprints[0]
		}
		return server, err
	}
	c, err := k.Connections.Usable(ctx, who, t.ConnectorID)
	if err != nil {
		return activities.Server{}, unusableConnector(path, t, err)
	}
	server, err := activities.ConnectorServer(ctx, store, who, c, t)
	if u, parseErr := url.Parse(c.Settings.URL); parseErr == nil && server.Retry.Default == "" && len(server.Retry.Tools) == 0 {
		server.Retry = k.Retry(u.Scheme + "://" + u.Host) // what the operator says, where the connector's owner says nothing
	}
	return server, err
}

// unusableConnector is the error for a connector that cannot be used in a run. The run has not begun: it is told with a status.
func unusableConnector(path string, t *responses.MCPTool, err error) error {
	var denied *connector.Denied
	var unauthorized *connection.Unauthorized
	switch {
	case errors.Is(err, connector.ErrHidden):
		return noConnector(path, t)
	case errors.As(err, &denied):
		return &responses.Error{
			Status: http.StatusForbidden, Type: responses.ErrForbidden, Param: path + "connector_id", Message: path + "connector_id: " + denied.Reason,
		}
	case errors.As(err, &unauthorized):
		return &responses.Error{
			Status: http.StatusFailedDependency, Type: responses.ErrExternalConnector, Code: responses.CodeHTTPError, Param: "tools",
			Message: fmt.Sprintf("MCP server %q could not be initialized (stage auth): %s", t.ServerLabel, unauthorized),
		}
	case errors.Is(err, store.ErrUnavailable):
		return unavailable("the database cannot be reached; try again")
	default:
		return err
	}
}

func noConnector(path string, t *responses.MCPTool) error {
	return responses.Invalid(path+"connector_id", "there is no connector %q that you may use", clip(t.ConnectorID))
}
