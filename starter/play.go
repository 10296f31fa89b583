package starter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// What pages do with runs. They come by routes of their own and not by /v1: decision 0029 says why.

// noncePattern matches what a form brings so that it starts one thing however often it is sent.
var noncePattern = regexp.MustCompile(`^[A-Z2-7]{26,64}$`)

// formKey is the Idempotency-Key of a form: the same for one that is sent again, and another for one that was changed. Its error is a 400.
func formKey(nonce string, body []byte) (string, error) {
	if !noncePattern.MatchString(nonce) {
		return "", responses.Invalid("", "the form is not whole: load the page again")
	}
	sum := sha256.Sum256(body)
	return "page " + nonce + " " + hex.EncodeToString(sum[:]), nil
}

// StartRun starts the run of a form that a person has sent, as POST /v1/responses does for a key: with the same checks and limits. It does
// not wait for the run, which goes on whoever watches. The same form, which is known by its nonce, sent again is the same run; changed, it
// is another. Its error is for the caller, as those of the API.
func (s *Starter) StartRun(w http.ResponseWriter, r *http.Request, who identity.Principal, body []byte, nonce string) (*responses.Response, error) {
	key, err := formKey(nonce, body)
	if err != nil {
		return nil, err
	}
	if err := s.checkTemporal(); err != nil {
		return nil, err
	}
	req, err := responses.DecodeRequest(body, s.pageDialect())
	if err != nil {
		return nil, err
	}
	live, err := s.continuable(r.Context(), who, req.PreviousResponseID)
	if err != nil {
		return nil, err
	}
	memory := s.memory(who)
	defer memory.done()
	b, err := s.admit(r.Context(), who, req, call{
		body: body, memory: memory, dialect: s.pageDialect(), request: requestID(w), key: key, live: live,
	})
	if err != nil {
		return nil, err
	}
	return b.response, nil
}

// continuable has the response that a form names, if the person may go on with it: a page holds its conversation as a WebSocket does, so that
// may be one which is not stored, but then only the person's own. Any other is left to be refused as it is on the API.
func (s *Starter) continuable(ctx context.Context, who identity.Principal, previous string) (map[string]bool, error) {
	live := map[string]bool{}
	if previous == "" {
		return live, nil
	}
	_, err := s.watched(ctx, who, previous)
	var shown *responses.Error
	switch {
	case err == nil:
		live[previous] = true
	case isLost(err), errors.As(err, &shown) && shown.Status == http.StatusNotFound:
	default:
		return nil, err
	}
	return live, nil
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

// StopRun asks a run to end, be it one that can no longer be read. It is no error that it has ended already.
func (s *Starter) StopRun(r *http.Request, who identity.Principal, id string) error {
	if err := s.checkTemporal(); err != nil {
		return err
	}
	ctx, over := s.asking(r.Context())
	defer over()
	d, err := s.describe(ctx, who, id)
	if err != nil {
		return err
	}
	e := announced(&d.WorkflowExecutionMetadata)
	if !e.seenBy(who) {
		return responseNotFound(id)
	}
	if !e.running {
		return nil
	}
	if err := s.cancelRun(ctx, id); err != nil {
		if hasEnded(err) {
			return nil
		}
		return err
	}
	s.note(r, who, store.ActResponseCancel, id, e.user)
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
	if err == nil && !e.seenBy(who) {
		return nil, responseNotFound(id)
	}
	return e, err
}

// seenBy reports whether a person of the run's organization sees it at a page.
func (e *envelope) seenBy(who identity.Principal) bool { return e.stored || e.user == who.User }

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
