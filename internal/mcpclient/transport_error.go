package mcpclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
	case badCertificate(err):
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
	e.cause = safeCause(err)
	return e
}

func badCertificate(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) ||
		errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) ||
		errors.As(err, new(x509.CertificateInvalidError))
}

// safeCause keeps errors whose texts are built from names, addresses and
// certificates. Others, such as net/http's complaint about a malformed
// response, quote the peer's bytes, which may echo our own headers: of those
// only the type is kept.
func safeCause(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &op):
		return op
	case errors.As(err, &dns):
		return dns
	case badCertificate(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		return fmt.Errorf("%T (text withheld)", err)
	}
}
