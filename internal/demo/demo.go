// Package demo is what Perdure offers a newcomer who has no account anywhere: two MCP servers and a model to use them with.
//
// All of it is honest make-believe. The model is a script: it picks tools by comparing words, quotes what they answer and says
// so in every answer. The MCP servers look like DeepWiki and GitHub, know a few pages about Perdure and some sample issues, and
// say that too. Nothing leaves the machine, and the same requests always get the same answers. What is real is the run around
// it: the same discovery, model turns, tool calls and retries as with any other model and server.
//
//	/v1/chat/completions, /v1/models   the model, as OpenAI-compatible providers serve it
//	/mcp                               an MCP server like DeepWiki's
//	/github/mcp                        an MCP server like GitHub's, which wants a bearer token (any will do)
//
// The MCP servers speak Streamable HTTP without sessions.
package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// drainTimeout bounds how long Run waits for requests in flight when its context ends.
	drainTimeout = 5 * time.Second

	readTimeout = time.Minute
	// writeTimeout bounds a whole answer, so a delay between its chunks has to fit into it.
	writeTimeout = 10 * time.Minute
	idleTimeout  = 2 * time.Minute
)

// Options are the choices of a demo. The zero value is a good one.
type Options struct {
	// Addr is the address to listen on, for [Open]; empty means a free port of 127.0.0.1. A run that outlives a restart finds
	// the demo again only on the same port.
	Addr string
	// ChunkDelay is the pause before each piece of a streamed answer; 0 means none.
	ChunkDelay time.Duration
}

// Handler serves the model and the MCP servers on their paths.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", ModelHandler(o))
	mux.Handle("/mcp", WikiHandler())
	github := GitHubHandler()
	mux.Handle("/github/mcp", github)
	// GitHub's own URL ends in a slash, and people copy it.
	mux.Handle("/github/mcp/{$}", github)
	return mux
}

// Server serves a [Handler] on a port of its own.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Open listens. Requests are answered once Run is called; until then they wait.
func Open(ctx context.Context, o Options) (*Server, error) {
	addr := o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	return &Server{
		listener: listener,
		http: &http.Server{
			Handler:           Handler(o),
			ReadHeaderTimeout: readTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
		},
	}, nil
}

// Run answers requests until ctx ends, then drains and returns nil. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("demo: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := s.http.Shutdown(drain)
	if err != nil {
		// A client that does not read its stream must not keep the process alive.
		err = s.http.Close()
	}
	if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("demo: %w", err)
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// Close stops at once and makes Run return. It is for a server that Run does not or must not drain; closing twice is allowed.
func (s *Server) Close() error {
	err := errors.Join(s.http.Close(), s.listener.Close())
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Origin returns the server's scheme, host and port, such as "http://127.0.0.1:40123".
func (s *Server) Origin() string { return "http://" + s.listener.Addr().String() }

// ModelBaseURL is what an OpenAI-compatible client takes as its base URL.
func (s *Server) ModelBaseURL() string { return s.Origin() + "/v1" }

// MCPURL is the URL of the MCP server that is like DeepWiki's.
func (s *Server) MCPURL() string { return s.Origin() + "/mcp" }

// GitHubMCPURL is the URL of the MCP server that is like GitHub's.
func (s *Server) GitHubMCPURL() string { return s.Origin() + "/github/mcp" }
