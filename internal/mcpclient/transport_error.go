package mcpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"perdure/internal/egress"
)

// transportError classifies an error of the HTTP transport: by its type where
// it has a telling one, else by the phase the request had reached.
func transportError(ctx context.Context, err error, at phase) *Error {
	var dns *net.DNSError
	var op *net.OpError
	var proxy *egress.ProxyError
	var e *Error
	switch {
	case errors.Is(err, egress.ErrAddressDenied):
		e = failure(StagePolicy, "its address is not allowed by the network policy; an operator can allow it with allow_networks or allow_origins")
	case ctx.Err() != nil:
		return endOfContext(context.Cause(ctx), at.String())
	case errors.As(err, &proxy):
		e = failure(StageConnect, "%s", proxy)
		e.Temporary = proxy.Temporary()
	case errors.As(err, &dns):
		e = failure(StageDNS, "its host name could not be resolved")
		e.Temporary = !dns.IsNotFound
	case egress.BadCertificate(err):
		e = failure(StageTLS, "its certificate is not trusted or does not match the host name")
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, new(tls.RecordHeaderError)):
		e = failure(StageTLS, "it does not speak TLS on this port")
	case errors.As(err, new(tls.AlertError)), at == phaseTLS:
		e = failure(StageTLS, "the TLS handshake failed")
		e.Temporary = true
	case errors.As(err, &op) && op.Op == "dial":
		e = failure(StageConnect, "it could not be reached")
		e.Temporary = true
	default:
		e = failure(StageConnect, "the connection failed while %s", at)
		e.Temporary = true
	}
	e.cause = egress.SafeCause(err)
	return e
}
