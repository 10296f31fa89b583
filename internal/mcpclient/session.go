package mcpclient

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"perdure/internal/egress"
)

// pinnedVersion is asked for first: it spares servers of the era before
// 2026-07-28, nearly all, a request that they do not know.
const pinnedVersion = "2025-11-25"

// statelessVersion is the first without initialize, sessions and streams that
// can be resumed.
const statelessVersion = "2026-07-28"

const (
	methodDiscover    = "server/discover"
	methodInitialize  = "initialize"
	methodInitialized = "notifications/initialized"
	methodList        = "tools/list"
	methodCall        = "tools/call"

	codeUnsupportedVersion = -32022
	codeMethodNotFound     = -32601
	codeInternalError      = -32603

	sessionHeader = "Mcp-Session-Id"

	// maxHelloBytes bounds the answer to initialize.
	maxHelloBytes = 1 << 20
)

// sessionKey is what a session may be shared by: the steps of one run that use
// the same server with the same credentials.
type sessionKey struct {
	run         string
	url         string
	transport   Transport
	credentials [sha256.Size]byte
}

// A session is a cached connection to a server. It is never state: losing one
// costs a handshake.
type session struct {
	key    sessionKey
	server Server
	guard  *guard
	opened chan struct{} // closed when mcp or err is set
	mcp    *mcp.ClientSession
	err    error
	// mirrors are those of each tool, once they have been listed.
	mirrors atomic.Pointer[map[string][]mirror]

	// Guarded by Client.mu.
	users    int
	lastUsed uint64
	removed  bool        // no longer in the cache; closes with its last user
	idle     *time.Timer // runs while nobody uses it
}

// acquire returns the run's session with the server and opens one if there is
// none. The caller must release it.
func (c *Client) acquire(ctx context.Context, runKey string, server Server) (*session, error) {
	key := sessionKey{run: runKey, url: server.URL, transport: server.Transport, credentials: credentials(server.Header)}
	s, err := c.lookUp(ctx, key, server)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.opened:
	case <-ctx.Done():
		c.release(s, false)
		e := endOfContext(context.Cause(ctx), "opening a session")
		e.Sent = NotSent
		return nil, e
	}
	if s.err != nil {
		c.release(s, true)
		return nil, s.err
	}
	return s, nil
}

func (c *Client) lookUp(ctx context.Context, key sessionKey, server Server) (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, notSent(StageCanceled, "the client is closed")
	}
	s := c.sessions[key]
	if s == nil {
		u, err := url.Parse(server.URL)
		if err != nil {
			return nil, notSent(StagePolicy, "its URL cannot be parsed")
		}
		s = &session{
			key:    key,
			server: server,
			opened: make(chan struct{}),
			guard: &guard{
				base: c.transport, origin: egress.OriginOf(u), header: server.Header.Clone(),
				userAgent: "perdure/" + c.opts.Version, serverRequests: newServerRequests(),
				sse: server.Transport == SSE, maxEvent: c.maxEvent(),
			},
		}
		c.makeRoomLocked()
		c.sessions[key] = s
		c.open.Add(1)
		s.users++ // the goroutine, until the session is open
		// Several steps may wait for this session, so it must not depend on
		// the context of the one that came first.
		go c.connect(context.WithoutCancel(ctx), s)
	}
	s.users++
	c.clock++
	s.lastUsed = c.clock
	if s.idle != nil {
		s.idle.Stop()
	}
	return s, nil
}

// release ends one use of s. A broken session leaves the cache.
func (c *Client) release(s *session, broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.users--
	switch {
	case broken && !s.removed:
		c.removeLocked(s)
	case s.users > 0:
	case s.removed:
		c.closeLocked(s)
	case s.idle == nil:
		s.idle = time.AfterFunc(c.opts.SessionIdle, func() { c.expire(s) })
	default:
		s.idle.Reset(c.opts.SessionIdle)
	}
}

func (c *Client) expire(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.users == 0 && !s.removed {
		c.removeLocked(s)
	}
}

// makeRoomLocked removes the session that nobody has used for longest if the
// cache is full.
func (c *Client) makeRoomLocked() {
	if len(c.sessions) < c.opts.MaxSessions {
		return
	}
	var oldest *session
	for _, s := range c.sessions {
		if s.users == 0 && (oldest == nil || s.lastUsed < oldest.lastUsed) {
			oldest = s
		}
	}
	if oldest != nil {
		c.removeLocked(oldest)
	}
}

// removeLocked takes s out of the cache and closes it once nobody uses it.
func (c *Client) removeLocked(s *session) {
	s.removed = true
	delete(c.sessions, s.key)
	if s.idle != nil {
		s.idle.Stop()
	}
	if s.users == 0 {
		c.closeLocked(s)
	}
}

// closeLocked ends s at the server in the background: it is a request, and a
// server can take its time to answer.
func (c *Client) closeLocked(s *session) {
	if s.mcp == nil {
		c.open.Done()
		return
	}
	go func() {
		defer c.open.Done()
		if err := s.mcp.Close(); err != nil {
			c.opts.Logger.Debug("mcp session not closed cleanly", "server", s.server)
		}
	}()
}

// connect opens s, within ConnectTimeout.
func (c *Client) connect(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.ConnectTimeout)
	defer cancel()
	var err error
	version := pinnedVersion
	if slices.Contains(mcp.SupportedProtocolVersions(), s.server.Version) {
		version = s.server.Version
	}
	s.mcp, err = c.handshake(ctx, s, version)
	if err != nil && wantsOtherVersion(err) {
		s.mcp, err = c.handshake(ctx, s, "")
	}
	s.err = err
	if err == nil {
		c.opts.Logger.DebugContext(ctx, "mcp session opened", "server", s.server)
	}
	// Whoever waits has a use of their own, and is not to find ours.
	c.release(s, err != nil)
	close(s.opened)
}

// handshake opens an MCP session, with the version given or with the newest
// that both sides know.
func (c *Client) handshake(ctx context.Context, s *session, version string) (*mcp.ClientSession, error) {
	ex := &exchange{
		methods:  []string{methodInitialize, methodDiscover, methodInitialized},
		maxBytes: maxHelloBytes,
	}
	exCtx, finish, err := c.begin(ctx, ex)
	if err != nil {
		return nil, err
	}
	defer finish()
	sess, err := c.sdk.Connect(exCtx, c.transportOf(s), &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err == nil {
		return sess, nil
	}
	_, e := ex.outcome(ctx, err)
	if e == nil {
		e = failure(StageProtocol, "its answer to initialize is not usable")
	}
	// Whatever became of the handshake, no tool call was sent with it.
	e.Sent = NotSent
	return nil, e
}

// transportOf is the SDK's part of the way to the server, around the guard.
func (c *Client) transportOf(s *session) mcp.Transport {
	client := &http.Client{
		Transport: s.guard,
		// The guard makes errors of redirects before the client sees them.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	maxEvent := int(c.maxEvent())
	if s.guard.sse {
		return &mcp.SSEClientTransport{Endpoint: s.server.URL, HTTPClient: client, MaxEventSize: maxEvent}
	}
	return &mcp.StreamableClientTransport{
		Endpoint: s.server.URL, HTTPClient: client, MaxRetries: -1, DisableStandaloneSSE: true, MaxEventSize: maxEvent,
	}
}

// maxEvent is the size of the largest answer that any operation accepts.
func (c *Client) maxEvent() int64 {
	return max(maxHelloBytes, c.opts.MaxListBytes, c.opts.MaxCallBytes)
}

// wantsOtherVersion recognizes servers that know only versions without an
// initialize request.
func wantsOtherVersion(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusBadRequest ||
		e.rpcCode == codeUnsupportedVersion || e.rpcCode == codeMethodNotFound)
}

// sdkError describes an error of the SDK for which the guard saw no reason.
// The SDK's own text is dropped: it may quote the server.
func sdkError(err error) *Error {
	// io.EOF: the session's stream ended while the SDK was about to send.
	if errors.Is(err, mcp.ErrConnectionClosed) || errors.Is(err, io.EOF) {
		e := failure(StageConnect, "its session was closed")
		e.stale, e.Temporary = true, true
		return e
	}
	return failure(StageProtocol, "its answer could not be understood")
}
