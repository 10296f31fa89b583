package mcpclient

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"perdure/internal/egress"
	"perdure/internal/secret"
)

// A Server is one MCP server as one run sees it: its address and the resolved
// credentials. It formats as its label alone.
type Server struct {
	Label     string
	URL       string      // https, see [egress.NetworkPolicy.CheckURL]; may hold a secret in its query
	Header    http.Header // sent with every request to the URL's origin; secret
	Transport Transport   // zero: Streamable
	// Version is the protocol version that was negotiated before; it is tried
	// first. It is a hint: empty, unknown and outdated ones do no harm.
	Version string
	// Token gives the access token of each operation. refused is empty, or
	// the token that the server has just refused with 401: then another one is
	// wanted, and the operation is tried once more with it. nil: no token.
	Token func(ctx context.Context, refused secret.String) (secret.String, error)
}

// A Transport is how messages travel.
type Transport string

// The transports.
const (
	Streamable Transport = "streamable_http" // one POST for each message
	SSE        Transport = "sse"             // the transport of 2024-11-05: answers come on one long event stream
)

// String names the server without its URL and headers.
func (s Server) String() string { return fmt.Sprintf("MCP server %q", s.Label) }

// GoString is String, so that %#v does not print credentials.
func (s Server) GoString() string { return s.String() }

// LogValue implements [slog.LogValuer].
func (s Server) LogValue() slog.Value { return slog.StringValue(s.Label) }

// MarshalJSON keeps credentials out of JSON, for example of an activity's input.
func (s Server) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", s.Label), nil }

// Options configures a [Client]. Zero values stand for the defaults named.
type Options struct {
	Network egress.NetworkPolicy
	RootCAs *x509.CertPool // trusted for servers; nil: the system's

	ConnectTimeout time.Duration // opening a session, and each dial: 10 s
	ListTimeout    time.Duration // one ListTools with everything it needs: 15 s
	CallTimeout    time.Duration // one CallTool with everything it needs: 5 min

	MaxListBytes        int64 // all pages of tools/list together, decompressed: 4 MiB
	MaxCallBytes        int64 // one answer to tools/call, decompressed: 8 MiB
	MaxSchemaBytes      int   // one input schema: 64 KiB
	MaxDescriptionBytes int   // one description, cut after that: 4 KiB
	MaxPages            int   // pages of tools/list: 20
	MaxTools            int   // tools of one server: 128

	SessionIdle          time.Duration // an unused session is closed after: 90 s
	MaxSessions          int           // sessions kept; those in use may exceed it: 256
	PerServerConcurrency int           // operations at once against one URL: 8

	Version string       // of Perdure, told to servers: "dev"
	Logger  *slog.Logger // debug messages about sessions: none
}

func (o Options) withDefaults() Options {
	setDefault(&o.ConnectTimeout, 10*time.Second)
	setDefault(&o.ListTimeout, 15*time.Second)
	setDefault(&o.CallTimeout, 5*time.Minute)
	setDefault(&o.MaxListBytes, 4<<20)
	setDefault(&o.MaxCallBytes, 8<<20)
	setDefault(&o.MaxSchemaBytes, 64<<10)
	setDefault(&o.MaxDescriptionBytes, 4<<10)
	setDefault(&o.MaxPages, 20)
	setDefault(&o.MaxTools, 128)
	setDefault(&o.SessionIdle, 90*time.Second)
	setDefault(&o.MaxSessions, 256)
	setDefault(&o.PerServerConcurrency, 8)
	setDefault(&o.Version, "dev")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

// closeTimeout bounds [Client.Close].
const closeTimeout = 5 * time.Second

// A Client lists and calls the tools of MCP servers. It is safe for concurrent
// use; one serves a whole process.
type Client struct {
	opts      Options
	policy    *egress.Rules
	transport *http.Transport
	sdk       *mcp.Client
	slots     *slots
	probes    atomic.Uint64 // so far

	mu       sync.Mutex
	closed   bool
	sessions map[sessionKey]*session
	clock    uint64 // counts uses of sessions, to find the one not used for longest
	inFlight map[*exchange]struct{}
	open     sync.WaitGroup // sessions, until they are closed at the server too
}

// New returns a client. It fails only if the network policy is malformed.
func New(opts Options) (*Client, error) {
	opts = opts.withDefaults()
	policy, err := opts.Network.Compile()
	if err != nil {
		return nil, fmt.Errorf("mcpclient: network policy: %w", err)
	}
	return &Client{
		opts:      opts,
		policy:    policy,
		transport: policy.NewTransport(opts.RootCAs, opts.ConnectTimeout, opts.PerServerConcurrency),
		sdk: mcp.NewClient(&mcp.Implementation{Name: "perdure", Version: opts.Version}, &mcp.ClientOptions{
			// Empty, not nil: nil would offer the server our file system roots.
			Capabilities: &mcp.ClientCapabilities{},
			// A request for input from a person is an outcome here, not a loop.
			MultiRoundTrip: &mcp.MultiRoundTripOptions{Disabled: true},
			// The SDK's messages quote what servers send.
			Logger: slog.New(slog.DiscardHandler),
		}),
		slots:    newSlots(opts.PerServerConcurrency),
		sessions: make(map[sessionKey]*session),
		inFlight: make(map[*exchange]struct{}),
	}, nil
}

// CheckURL applies the client's network policy to a URL; see [egress.NetworkPolicy.CheckURL].
func (c *Client) CheckURL(raw string) error { return c.policy.CheckURL(raw) }

// check refuses a server that may not be used, before anything is sent.
func (c *Client) check(s Server) error {
	if err := c.policy.CheckURL(s.URL); err != nil {
		return notSent(StagePolicy, "%s", err)
	}
	if err := checkServerHeader(s.Header); err != nil {
		return notSent(StagePolicy, "%s", err)
	}
	if s.Transport != "" && s.Transport != Streamable && s.Transport != SSE {
		return notSent(StagePolicy, "its transport is neither %s nor %s", Streamable, SSE)
	}
	return nil
}

// CloseRun ends the sessions of a run. It returns at once; sessions are closed
// at their servers in the background, and after the calls that still use them.
func (c *Client) CloseRun(runKey string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, s := range c.sessions {
		if key.run == runKey {
			c.removeLocked(s)
		}
	}
}

// Close interrupts all calls and ends all sessions. It returns when they are
// closed, or with an error after five seconds; what is left then ends by
// itself within seconds.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	for ex := range c.inFlight {
		ex.cancel(errClosed)
	}
	for _, s := range c.sessions {
		c.removeLocked(s)
	}
	c.mu.Unlock()

	done := make(chan struct{})
	go func() {
		c.open.Wait()
		close(done)
	}()
	defer c.transport.CloseIdleConnections()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return errors.New("mcpclient: some sessions did not close in time")
	}
}

// operate runs op on a session of the server. If the server no longer knows
// the session, it opens a new one and runs op again, once, provided that op's
// message was not executed or may be repeated. The same holds, once, for an
// access token that the server refuses.
func (c *Client) operate(ctx context.Context, runKey string, s Server, repeatable bool, op func(*session) error) error {
	if err := c.check(s); err != nil {
		return err
	}
	release, err := c.slots.acquire(ctx, s.URL)
	if err != nil {
		return err
	}
	defer release()
	token, err := s.token(ctx, secret.String{})
	if err != nil {
		return err
	}
	for rebuilt, renewed := false, false; ; {
		sess, err := c.acquire(ctx, runKey, s.with(token))
		stale := false
		if err == nil {
			err = op(sess)
			var e *Error
			stale = errors.As(err, &e) && e.stale
			c.release(sess, stale || e.WantsToken() && s.Token != nil)
		}
		var e *Error
		if !errors.As(err, &e) || !repeatable && !e.Sent.NeverRan() {
			return err
		}
		switch {
		case stale && !rebuilt:
			rebuilt = true
			c.opts.Logger.DebugContext(ctx, "mcp session lost, opening another", "server", s)
		case e.WantsToken() && s.Token != nil && !renewed:
			renewed = true
			other, tokenErr := s.token(ctx, token)
			if tokenErr != nil {
				return tokenErr
			}
			if other.Equal(token) {
				return err
			}
			token = other
			c.opts.Logger.DebugContext(ctx, "mcp access token refused, trying another", "server", s)
		default:
			return err
		}
	}
}

// credentials identifies a set of headers without keeping them.
func credentials(h http.Header) [sha256.Size]byte {
	sum := sha256.New()
	for _, name := range sortedKeys(h) {
		for _, value := range h[name] {
			fmt.Fprintf(sum, "%q=%q\n", http.CanonicalHeaderKey(name), value)
		}
	}
	return [sha256.Size]byte(sum.Sum(nil))
}
