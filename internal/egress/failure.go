package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// BadCertificate reports whether a request failed for its peer's certificate.
func BadCertificate(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) ||
		errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) ||
		errors.As(err, new(x509.CertificateInvalidError))
}

// SafeCause keeps errors of the transport whose texts are built from names, addresses and certificates. Others, such as net/http's
// complaint about a malformed response, quote the URL or the peer's bytes, which may echo our own headers: of those only the type is
// kept.
func SafeCause(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &op):
		return op
	case errors.As(err, &dns):
		return dns
	case BadCertificate(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		return fmt.Errorf("%T (text withheld)", err)
	}
}
