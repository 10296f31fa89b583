package mcpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Probe connects to a server and lists its tools, as the first run would, for
// a person who sets the server up. It shares no session with runs. The error is
// an [*Error] that says with Remedy what the person can do; if the URL speaks
// another transport than the one it is set to, its stage is [StageTransport].
//
// An error with Status 401 means that there is a server and that it wants
// authorization, about which its Challenge says more.
func (c *Client) Probe(ctx context.Context, s Server) (Listing, error) {
	run := fmt.Sprintf("probe %d", c.probes.Add(1))
	defer c.CloseRun(run)
	listing, err := c.ListTools(ctx, run, s)
	if err == nil {
		return listing, nil
	}
	e := asError(err, s.Label)
	if mayBeOtherTransport(s, e) && c.speaks(ctx, run, s.otherTransport()) {
		return Listing{}, wrongTransport(s)
	}
	if e.Remedy == "" {
		e.Remedy = remedy(s, e)
	}
	return Listing{}, e
}

// mayBeOtherTransport recognizes how servers answer who speaks the other
// transport to them. It does not guess after a refusal for credentials, which
// would hide the true cause.
func mayBeOtherTransport(s Server, e *Error) bool {
	return slices.Contains([]int{
		http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType,
	}, e.Status) || e.Stage == StageProtocol || s.Transport == SSE && e.Stage == StageTimeout // a stream that says nothing
}

func (s Server) otherTransport() Server {
	if s.Transport == SSE {
		s.Transport = Streamable
	} else {
		s.Transport = SSE
	}
	return s
}

// speaks reports whether a server completes a handshake.
func (c *Client) speaks(ctx context.Context, run string, s Server) bool {
	err := c.operate(ctx, run, s, true, func(*session) error { return nil })
	var e *Error
	return err == nil || errors.As(err, &e) && e.Status == http.StatusUnauthorized
}

func wrongTransport(s Server) *Error {
	e := failure(StageTransport, "its URL speaks Streamable HTTP, not SSE")
	e.Remedy = "set the transport to Streamable HTTP"
	if s.Transport != SSE {
		e = failure(StageTransport, "its URL speaks SSE, not Streamable HTTP")
		e.Remedy = "set the transport to SSE, or use the server's Streamable HTTP URL, which often ends in /mcp"
	}
	e.Label = s.Label
	return e
}

// remedy says what a person can do about a failure of a probe.
func remedy(s Server, e *Error) string {
	switch e.Stage {
	case StagePolicy:
		return "use a public https URL, or ask the operator to allow this one"
	case StageDNS:
		return "check the host name in the URL"
	case StageConnect:
		return "check that the server is running, and that the URL's host and port are right"
	case StageTLS:
		return "the server's operator has to install a valid certificate"
	case StageAuth:
		return authRemedy(s, e)
	case StageStatus:
		if e.Temporary {
			return "try again later"
		}
		return "check that the URL is that of the MCP endpoint, which often ends in /mcp or /sse"
	case StageProtocol:
		return "check that the URL is that of an MCP endpoint, which often ends in /mcp or /sse"
	case StageTimeout:
		return "check that the server is running, or try again later"
	case StageCanceled:
		return "try again"
	default:
		return "the server's operator has to correct the server"
	}
}

func authRemedy(s Server, e *Error) string {
	switch {
	case e.access:
		return "check the network access of the connector"
	case e.Challenge.InsufficientScope():
		return "authorize again, with the permissions that the server asks for"
	case e.Status == http.StatusForbidden:
		return "check that the credentials may use this server"
	case s.Token != nil:
		return "reconnect: the server does not accept the authorization"
	case s.Header.Get("Authorization") != "" || len(s.Header) > 0:
		return "check the credentials: the server does not accept them"
	default:
		return "the server wants credentials: choose API key or OAuth and authorize"
	}
}
