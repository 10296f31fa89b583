package mcpclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"perdure/internal/egress"
	"perdure/internal/secret"
)

func TestTransportError(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(context.Canceled)
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	tests := map[string]struct {
		ctx       context.Context
		err       error
		at        phase
		stage     Stage
		temporary bool
	}{
		"no such host":     {err: dial(&net.DNSError{Err: "no such host", IsNotFound: true}), stage: StageDNS},
		"DNS away":         {err: dial(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), stage: StageDNS, temporary: true},
		"refused":          {err: dial(errors.New("connection refused")), at: phaseConnect, stage: StageConnect, temporary: true},
		"denied":           {err: dial(fmt.Errorf("%w: x", egress.ErrAddressDenied)), at: phaseConnect, stage: StagePolicy},
		"untrusted":        {err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, at: phaseTLS, stage: StageTLS},
		"plain server":     {err: tls.RecordHeaderError{Msg: "x"}, at: phaseTLS, stage: StageTLS},
		"plain HTTP":       {err: http.ErrSchemeMismatch, at: phaseTLS, stage: StageTLS},
		"alert":            {err: &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, at: phaseSend, stage: StageTLS, temporary: true},
		"cut in TLS":       {err: io.EOF, at: phaseTLS, stage: StageTLS, temporary: true},
		"reset":            {err: &net.OpError{Op: "read", Err: errors.New("connection reset")}, at: phaseWait, stage: StageConnect, temporary: true},
		"unknown":          {err: errors.New("malformed HTTP response \"canary\""), at: phaseWait, stage: StageConnect, temporary: true},
		"deadline":         {ctx: ended, err: context.Canceled, at: phaseDNS, stage: StageTimeout, temporary: true},
		"caller gave up":   {ctx: canceled, err: context.Canceled, at: phaseWait, stage: StageCanceled},
		"denied, too late": {ctx: ended, err: dial(egress.ErrAddressDenied), stage: StagePolicy},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := test.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			e := transportError(ctx, test.err, test.at)
			if e.Stage != test.stage || e.Temporary != test.temporary {
				t.Errorf("got stage %q, temporary %v; want %q, %v", e.Stage, e.Temporary, test.stage, test.temporary)
			}
			if strings.Contains(fmt.Sprint(e, e.Unwrap()), "canary") {
				t.Errorf("error %v quotes the peer", e)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	type answer struct {
		after time.Duration
		asked bool
	}
	for value, want := range map[string]answer{
		"": {}, "0": {0, true}, "5": {5 * time.Second, true}, "x": {}, "-1": {}, "1.5": {}, "999999": {time.Hour, true},
		"99999999999999999999": {}, "Mon, 01 Jan 2001 00:00:00 GMT": {0, true}, "Fri, 01 Jan 2100 00:00:00 GMT": {time.Hour, true},
	} {
		if after, asked := retryAfter(value); (answer{after, asked}) != want {
			t.Errorf("%q: got %v, %t, want %+v", value, after, asked, want)
		}
	}
	soon, asked := retryAfter(time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
	if soon < 50*time.Second || soon > time.Minute || !asked {
		t.Errorf("a date in a minute gave %v, %t", soon, asked)
	}
}

// The gate is the proof that a request did not leave.
func TestGate(t *testing.T) {
	t.Parallel()
	g := newGate([]byte("body"))
	if g.shut() {
		t.Error("an unread body counts as sent")
	}
	if n, err := g.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errGateShut) {
		t.Errorf("after the verdict a read gave %d, %v", n, err)
	}
	if _, err := g.rewind(); !errors.Is(err, errGateShut) {
		t.Errorf("after the verdict a rewind gave %v", err)
	}

	g = newGate([]byte("body"))
	for range 2 {
		if b, err := io.ReadAll(g); string(b) != "body" || err != nil {
			t.Errorf("got %q, %v", b, err)
		}
		if _, err := g.rewind(); err != nil {
			t.Error(err)
		}
	}
	if !g.shut() {
		t.Error("a body that was read counts as not sent")
	}
}

func TestCleanText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"  a\r\n\tb  ": "a   b", "\x1b[31mred\x00": "[31mred", "a\u200b\u202eb": "ab", "é\xff": "é",
	} {
		if got := newRedactor(Server{}).clean(in, 100); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := newRedactor(Server{}).clean(strings.Repeat("é", 100), 5); got != "éé" {
		t.Errorf("got %q", got)
	}
	r := redactor{secret.NewRedactor("secret-secret")}
	for in, want := range map[string]string{
		"sec\u200bret-secret": "[redacted]", "x secret-secret y": "x [red", "secret-secre": "secret",
	} {
		limit := len("[redacted]")
		if strings.Contains(in, "x") || len(in) == 12 {
			limit = 6
		}
		if got := r.clean(in, limit); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// What the SDK says of an answer may quote it.
func TestErrorsOfTheSDKAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("secret-secret"), fmt.Errorf("secret-secret: %w", mcp.ErrConnectionClosed)} {
		e := sdkError(err)
		for cause := error(e); cause != nil; cause = errors.Unwrap(cause) {
			if strings.Contains(fmt.Sprintf("%v %+v", cause, cause), "secret-secret") {
				t.Errorf("%v became %v", err, cause)
			}
		}
	}
}
