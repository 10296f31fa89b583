package starter

import (
	"errors"
	"io"
	"net/http"
	"time"

	"perdure/internal/admission"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// metered is a body that takes memory as it is read: what a slow client has announced and not sent takes none. When there is none
// left, reading fails with a refusal. What is read for a request beside its body is counted by [metered.take]; with nil it is not.
type metered struct {
	io.Reader
	budget *admission.Budget
	key    string
	taken  int64 // bytes
}

func (k *Intake) metered(body io.Reader, who identity.Principal) *metered {
	return &metered{Reader: body, budget: k.gates.bodies, key: who.Account()}
}

// memory is the memory of a request without a body.
func (k *Intake) memory(who identity.Principal) *metered { return k.metered(http.NoBody, who) }

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	switch err := m.budget.Take(m.key, int64(n)); {
	case errors.Is(err, admission.ErrShare):
		return 0, tooMany(retryBusy, "the requests of this API key that are being read are too large together; try again")
	case err != nil:
		return 0, busy("the requests that are being read are too large together; try again")
	}
	m.taken += int64(n)
	return n, err
}

// take takes memory for n bytes that are about to be read, or fails with a refusal. What is larger than the share of a key takes all of
// that: it is let through when its key reads nothing else, or nobody could ever have it.
func (m *metered) take(n int64) error {
	if m == nil {
		return nil
	}
	if share := m.budget.Share(); share > 0 {
		n = max(min(n, share-m.taken), 0)
	}
	switch err := m.budget.Take(m.key, n); {
	case errors.Is(err, admission.ErrShare):
		return tooMany(retryBusy, "what the requests of this API key read at the same time is too large together; try again")
	case err != nil:
		return busy("what is read at the same time is too large together; try again")
	}
	m.taken += n
	return nil
}

// held is how many bytes are taken.
func (m *metered) held() int64 {
	if m == nil {
		return 0
	}
	return m.taken
}

// keep gives back all but n bytes, which something holds that was made of the body.
func (m *metered) keep(n int64) {
	if m == nil {
		return
	}
	if spare := m.taken - n; spare > 0 {
		m.budget.Give(m.key, spare)
		m.taken -= spare
	}
}

// done gives the memory back. It may be called again.
func (m *metered) done() { m.keep(0) }

// readBody reads the body of a request. Its memory counts until the returned meter is done.
func (s *Starter) readBody(w http.ResponseWriter, r *http.Request, who identity.Principal) ([]byte, *metered, error) {
	m := s.metered(r.Body, who)
	body, err := s.readUpTo(w, r, m, s.Limits.Body)
	if err != nil {
		m.done()
		return nil, nil, err
	}
	return body, m, nil
}

// readUpTo reads from the body of a request. The request keeps its own: net/http knows that one, and how to leave the rest of it unread.
func (s *Starter) readUpTo(w http.ResponseWriter, r *http.Request, from io.Reader, most int64) ([]byte, error) {
	if r.ContentLength > most {
		return nil, tooLargeError(most)
	}
	// It holds for the body alone: net/http lifts it when the body has been read, and watches whether the client stays.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.bodyTimeout)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(from), most))
	var tooLarge *http.MaxBytesError
	var refused *refusal
	switch {
	case errors.As(err, &tooLarge), errors.As(err, &refused):
		return nil, err
	case err != nil:
		return nil, responses.Invalid("", "the request body ended early, or took longer than %v", s.bodyTimeout)
	}
	return body, nil
}
