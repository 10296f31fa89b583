package starter

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

// maxIdempotencyKey is in characters; Stripe and OpenAI take as many.
const maxIdempotencyKey = 255

// idempotencyKey reads the header with which a client says that a repeated request is the same one.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.Trim(key, visible) != "" {
		return "", responses.Invalid("Idempotency-Key", "the header must be given once, with 1 to %d visible ASCII characters", maxIdempotencyKey)
	}
	return key, nil
}

// visible is every character of ASCII that can be seen, and the space.
var visible = func() string {
	var b strings.Builder
	for c := byte(' '); c < 0x7f; c++ {
		b.WriteByte(c)
	}
	return b.String()
}()

// responseID returns the ID of a new response. With a key it is always the same, so that Temporal, which starts one workflow for an
// ID, is what keeps a repeated request from starting a second run.
func responseID(who identity.Principal, key string) string {
	if key == "" {
		return responses.ResponsePrefix + uuid.NewString()
	}
	name := strings.Join([]string{who.Organization, who.User, key}, "\x00")
	return responses.ResponsePrefix + uuid.NewHash(sha256.New(), uuid.Nil, []byte(name), 8).String()
}

// fingerprint tells a body from others without telling what it holds: its key is one that only the client knows.
func fingerprint(key string, body []byte) string {
	if key == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// attachOr is attach for a request that would start no run, for a reason that does not concern one that has started already.
func (s *Starter) attachOr(ctx context.Context, who identity.Principal, b *begun, c call, reason error) (*begun, error) {
	if c.key == "" {
		return nil, reason
	}
	attached, err := s.attach(ctx, who, b, c)
	var shown *responses.Error
	if errors.As(err, &shown) && shown.Status == http.StatusNotFound {
		return nil, reason
	}
	return attached, err
}

// attach returns the run that the first request with the same key has started.
func (s *Starter) attach(ctx context.Context, who identity.Principal, b *begun, c call) (*begun, error) {
	e, err := s.find(ctx, who, b.response.ID)
	if err != nil {
		return nil, err
	}
	if e.fingerprint != fingerprint(c.key, c.body) {
		return nil, keyReused()
	}
	return &begun{
		run: s.Temporal.GetWorkflow(ctx, b.response.ID, ""), response: e.response, size: len(c.body), stream: b.stream,
		independent: true,
	}, nil
}

func keyReused() *responses.Error {
	return &responses.Error{
		Status: http.StatusConflict, Type: responses.ErrConflict, Code: "idempotency_key_reused", Param: "Idempotency-Key",
		Message: "this Idempotency-Key was used for a request with another body; a new request needs a new key",
	}
}
