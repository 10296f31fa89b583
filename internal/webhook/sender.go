package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"perdure/internal/egress"
)

const (
	defaultTimeout = 15 * time.Second
	defaultConnect = 10 * time.Second
	// kept connections to one endpoint: runs end in bursts.
	kept = 4
	// maxAnswer is how much of an answer is read, so that its connection can be used again.
	maxAnswer = 4 << 10
)

// Options are what a [Sender] needs. Only Logger is required.
type Options struct {
	Endpoints []Endpoint
	Network   egress.NetworkPolicy
	RootCAs   *x509.CertPool // trusted for endpoints; nil: the system's
	Timeout   time.Duration  // of one attempt: 15 s
	Connect   time.Duration  // of a dial and of a TLS handshake: 10 s
	Logger    *slog.Logger
}

// Sender sends events. It is safe for concurrent use; one serves a whole process.
type Sender struct {
	endpoints map[string]endpoint
	transport *http.Transport
	timeout   time.Duration
	logger    *slog.Logger
}

// endpoint is an Endpoint in the form that sending needs.
type endpoint struct {
	url    string
	keys   [][]byte
	events []string
}

// New returns a sender. Its error names the endpoint that cannot be used, and the reason.
func New(o Options) (*Sender, error) {
	if o.Logger == nil {
		return nil, errors.New("webhook: a logger is required")
	}
	rules, err := o.Network.Compile()
	if err != nil {
		return nil, fmt.Errorf("webhook: network policy: %w", err)
	}
	s := &Sender{endpoints: map[string]endpoint{}, timeout: o.Timeout, logger: o.Logger}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	for _, e := range o.Endpoints {
		if _, twice := s.endpoints[e.Name]; twice || e.Name == "" {
			return nil, fmt.Errorf("webhook: endpoint %q: its name is empty or not its own", e.Name)
		}
		if err := rules.CheckURL(e.URL); err != nil {
			return nil, fmt.Errorf("webhook: endpoint %q: %w", e.Name, err)
		}
		if s.endpoints[e.Name], err = newEndpoint(e); err != nil {
			return nil, fmt.Errorf("webhook: endpoint %q: its secret %w", e.Name, err)
		}
	}
	s.transport = rules.NewTransport(o.RootCAs, min(s.timeout, cmp.Or(o.Connect, defaultConnect)), kept)
	return s, nil
}

func newEndpoint(e Endpoint) (endpoint, error) {
	out := endpoint{url: e.URL, events: e.Events}
	for _, s := range e.Secrets {
		key, err := parseSecret(s)
		if err != nil {
			return endpoint{}, err
		}
		out.keys = append(out.keys, key)
	}
	if len(out.keys) == 0 {
		return endpoint{}, errors.New("is not set")
	}
	return out, nil
}

// Close closes the connections that are kept for the next event.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Wants reports whether an endpoint is to hear of events of a type. An endpoint that is not known here is: perhaps it was configured
// a moment ago, and another process knows it.
func (s *Sender) Wants(endpoint, eventType string) bool {
	e, ok := s.endpoints[endpoint]
	return !ok || len(e.events) == 0 || slices.Contains(e.events, eventType)
}

// Send makes one attempt to tell an endpoint of an event. Its error is an [*Error], or that of ctx when ctx was cancelled.
func (s *Sender) Send(ctx context.Context, name string, event Event) error {
	e, ok := s.endpoints[name]
	if !ok {
		return &Error{Endpoint: name, Temporary: true, message: "is not configured at this worker; add it to webhooks"}
	}
	id := EventID(event.ResponseID, name)
	body, err := event.body(id)
	if err != nil {
		return fmt.Errorf("webhook: encode the event: %w", err)
	}
	attempt, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(attempt, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil { // its text quotes the URL
		return &Error{Endpoint: name, message: "has a URL that cannot be requested"}
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "perdure")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", sign(e.keys, id, timestamp, body))
	// Not an http.Client, which would follow redirects: the event, and its signature, are for the URL that was configured.
	resp, err := s.transport.RoundTrip(req)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	default:
		return s.unreachable(name, err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // what an answer says beyond its status does not matter
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		s.logger.DebugContext(ctx, "webhook delivered", "endpoint", name, "event", id, "response", event.ResponseID)
		return nil
	}
	return refused(name, resp)
}
