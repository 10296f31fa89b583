package starter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

// What pages do with runs. They come by routes of their own and not by /v1: decision 0029 says why.

// noncePattern matches what a form brings so that it starts one run however often it is sent.
var noncePattern = regexp.MustCompile(`^[A-Z2-7]{26,64}$`)

// StartRun starts the run of a form that a person has sent, as POST /v1/responses does for a key: with the same checks and limits. It does
// not wait for the run, which goes on whoever watches. The same form, which is known by its nonce, sent again is the same run; changed, it
// is another. Its error is for the caller, as those of the API.
func (s *Starter) StartRun(w http.ResponseWriter, r *http.Request, who identity.Principal, body []byte, nonce string) (*responses.Response, error) {
	if !noncePattern.MatchString(nonce) {
		return nil, responses.Invalid("", "the form is not whole: load the page again")
	}
	if err := s.checkTemporal(); err != nil {
		return nil, err
	}
	req, err := responses.DecodeRequest(body, s.pageDialect())
	if err != nil {
		return nil, err
	}
	memory := s.memory(who)
	defer memory.done()
	sum := sha256.Sum256(body)
	b, err := s.admit(r.Context(), who, req, call{
		body: body, memory: memory, dialect: s.pageDialect(), request: requestID(w), key: "page " + nonce + " " + hex.EncodeToString(sum[:]),
		// A page holds its conversation as a WebSocket does: it may go on with what is not stored.
		live: map[string]bool{req.PreviousResponseID: true},
	})
	if err != nil {
		return nil, err
	}
	return b.response, nil
}

// pageDialect is the one that pages speak: that of /v1/responses, with approvals if it has them.
func (s *Starter) pageDialect() responses.Dialect {
	if s.Dialect == "" {
		return responses.DialectAgent
	}
	return s.Dialect
}

// HasApprovals reports whether runs of pages may ask for approval.
func (s *Starter) HasApprovals() bool { return s.pageDialect() == responses.DialectOpenAI }

// FollowRun answers a page with the events of a run, after the one that the query names, if it does. Errors are those of the API, for a
// script to read.
func (s *Starter) FollowRun(w http.ResponseWriter, r *http.Request, who identity.Principal, id string) error {
	_, after, err := readGet(r.URL.Query(), nil)
	var e *envelope
	if err == nil {
		e, err = s.watched(r.Context(), who, id)
	}
	if err == nil {
		err = s.streamStored(w, r, e, after)
	}
	if err != nil {
		s.writeError(w, r, err)
	}
	return nil
}

// StopRun asks a run to end. It is no error that it has ended already.
func (s *Starter) StopRun(ctx context.Context, who identity.Principal, id string) error {
	e, err := s.watched(ctx, who, id)
	if err != nil || !e.running {
		return err
	}
	if err := s.cancelRun(ctx, e.response.ID); !hasEnded(err) {
		return err
	}
	return nil
}

// AskedRun returns a run as it is now, and what its request brought.
func (s *Starter) AskedRun(ctx context.Context, who identity.Principal, id string) (*responses.Response, []responses.Item, error) {
	e, err := s.watched(ctx, who, id)
	if err != nil {
		return nil, nil, err
	}
	memory := s.memory(who)
	defer memory.done()
	response, err := s.load(ctx, e, memory)
	if err != nil {
		return nil, nil, err
	}
	input, err := s.inputItems(ctx, id, memory)
	return response, input, err
}

// watched is stored for a person at a page, who also sees what they did not have stored while they watch it.
func (s *Starter) watched(ctx context.Context, who identity.Principal, id string) (*envelope, error) {
	if err := s.checkTemporal(); err != nil {
		return nil, err
	}
	e, err := s.find(ctx, who, id)
	if err == nil && !e.stored && e.user != who.User {
		return nil, responseNotFound(id)
	}
	return e, err
}

// ReadForm reads a form that may be as large as a request. Its memory counts until done is called.
func (s *Starter) ReadForm(w http.ResponseWriter, r *http.Request, who identity.Principal) (form url.Values, done func(), err error) {
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return nil, nil, err
	}
	form, err = url.ParseQuery(string(body))
	if err != nil {
		memory.done()
		return nil, nil, responses.Invalid("", "the form cannot be read: load the page again")
	}
	return form, memory.done, nil
}

// ErrorOf returns an error as a caller may see it; what is not for callers is in the log.
func (s *Starter) ErrorOf(w http.ResponseWriter, r *http.Request, err error) *responses.Error {
	shown := s.shown(w, r, err)
	if shown.Status == http.StatusServiceUnavailable || shown.Status == http.StatusTooManyRequests {
		setRetryAfter(w.Header(), err)
	}
	return shown
}

// Origin is the one under which a browser has reached us, such as https://agents.example.com.
func (s *Starter) Origin(r *http.Request) string {
	switch {
	case s.SignIn.PublicURL != "":
		return s.SignIn.PublicURL
	case isHTTPS(r):
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}
