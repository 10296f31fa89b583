package starter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

// requestIDHeader carries an ID that is in the log beside every error, so that a caller's report can be found.
const requestIDHeader = "X-Request-Id"

// handle adapts a handler that returns its error. Errors meet the wire here and nowhere else.
func (s *Starter) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.writeError(w, r, err)
		}
	})
}

// tenantHandler answers the request of a caller.
type tenantHandler = func(http.ResponseWriter, *http.Request, identity.Principal) error

// authenticated is handle for callers with a key that is good for runs, within the limits of that key.
func (s *Starter) authenticated(h tenantHandler) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.byKey(w, r)
		if err != nil {
			return err
		}
		if err := requireScope(who, identity.ScopeResponses); err != nil {
			return err
		}
		return s.limited(w, r, who, h)
	})
}

// managed is handle for callers with a key that is good for connectors, or with a session.
func (s *Starter) managed(h tenantHandler) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.byKeyOrSession(w, r)
		if err != nil {
			return err
		}
		if err := requireScope(who, identity.ScopeConnectors); err != nil {
			return err
		}
		return s.limited(w, r, who, h)
	})
}

// guarded gives every request its ID and turns a panic into an error of that request alone.
func (s *Starter) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(requestIDHeader, "req_"+uuid.NewString())
		defer func() {
			switch p := recover(); {
			case p == nil:
			case p == http.ErrAbortHandler: //nolint:errorlint // net/http compares it so, too
				panic(p)
			default:
				s.writeError(w, r, fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func requestID(w http.ResponseWriter) string { return w.Header().Get(requestIDHeader) }

// shown returns an error as the client sees it. One that is not meant for clients becomes a generic 500 and a line in the log.
func (s *Starter) shown(w http.ResponseWriter, r *http.Request, err error) *responses.Error {
	if temporalAway(err) {
		s.gates.temporal.Suspect()
	}
	if shown := wireError(err); shown != nil {
		return shown
	}
	s.Logger.ErrorContext(r.Context(), "request failed", "request", requestID(w), "method", r.Method, "path", r.URL.Path, "error", err)
	return &responses.Error{
		Status: http.StatusInternalServerError, Type: responses.ErrInternal,
		Message: "something went wrong here; the log has the details under " + requestID(w),
	}
}

// writeError renders an error.
func (s *Starter) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody is left to read an answer
	}
	shown := s.shown(w, r, err)
	if shown.Status == http.StatusServiceUnavailable || shown.Status == http.StatusTooManyRequests {
		setRetryAfter(w.Header(), err)
	}
	if shown.Status == http.StatusConflict {
		w.Header().Set("X-Should-Retry", "false") // SDKs repeat a request after a 409, which would never help
	}
	body, err := shown.MarshalWire(s.dialect(r))
	if err != nil {
		s.Logger.ErrorContext(r.Context(), "error could not be rendered", "request", requestID(w), "error", err)
		return
	}
	s.writeJSON(w, r, shown.Status, body)
}

func (s *Starter) writeJSON(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// net/http lifts it after the answer.
	err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.answerTimeout))
	w.WriteHeader(status)
	_, writeErr := w.Write(body)
	if err := errors.Join(err, writeErr); err != nil {
		s.Logger.DebugContext(r.Context(), "answer not delivered", "request", requestID(w), "error", err)
	}
}
