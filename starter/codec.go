package starter

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

// Codec is the endpoint at which Temporal's Web UI and CLI have payloads decrypted. It is for operators: who may use it can read the
// payloads of all organizations.
type Codec struct {
	// Token is what an operator shows. Without one there is no endpoint.
	Token secret.String
	// Origins are those of the Web UIs that may use it.
	Origins []string
	// Handler does the work, for paths that end in /decode, /encode and /download.
	Handler http.Handler
}

// codecPath is where the endpoint is. The Web UI and the CLI append the action to it.
const codecPath = "/codec"

const (
	// maxCodecBody bounds what is decoded at once: bytes. Temporal's server takes no message of more than 4 MiB.
	maxCodecBody = 16 << 20
	// maxNamed is how many workflows a line of the log names.
	maxNamed = 5
)

func (s *Starter) codecRoutes(mux *http.ServeMux) {
	if s.Codec.Token.IsZero() {
		return
	}
	c := &codecEndpoint{Starter: s, tries: newTries(triesPerSecond, triesAtOnce)}
	for _, action := range []string{"/decode", "/encode", "/download"} {
		mux.Handle("POST "+codecPath+action, s.handle(c.use))
		mux.Handle("OPTIONS "+codecPath+action, s.handle(c.preflight))
	}
	mux.Handle("GET "+codecPath, http.RedirectHandler(codecPath+"/", http.StatusMovedPermanently))
	mux.Handle("GET "+codecPath+"/{$}", s.handle(c.page))
	mux.Handle("POST "+codecPath+"/{$}", s.handle(c.signIn))
	mux.Handle("POST "+codecPath+"/sign-out", s.handle(c.signOut))
}

type codecEndpoint struct {
	*Starter
	tries *tries
}

// preflight answers a browser that asks whether a page may send a request.
func (c *codecEndpoint) preflight(w http.ResponseWriter, r *http.Request) error {
	if c.allow(w, r) {
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", http.MethodPost)
		h.Set("Access-Control-Allow-Headers", "Authorization, Authorization-Extras, Content-Type, X-Namespace")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.Header().Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allow lets the pages of the Web UI, and no others, read the answer. It reports whether the request is from one.
func (c *codecEndpoint) allow(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(c.Codec.Origins, origin) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	return true
}

// use decodes or encodes payloads.
func (c *codecEndpoint) use(w http.ResponseWriter, r *http.Request) error {
	by, err := c.authenticate(w, r)
	if err != nil {
		return err
	}
	body, err := c.readUpTo(w, r, r.Body, maxCodecBody)
	if err != nil {
		return err
	}
	c.log(w, r, by, body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(c.answerTimeout)); err != nil {
		return err
	}
	c.Codec.Handler.ServeHTTP(w, r)
	return nil
}

// authenticate returns how an operator was known: by a session or by the token.
func (c *codecEndpoint) authenticate(w http.ResponseWriter, r *http.Request) (by string, err error) {
	// The session first: a Web UI with a sign-in of its own may send a token that is not ours, beside the cookie. A browser sends the
	// cookie for whichever page asks it to, so it counts for those of the Web UI only.
	if c.allow(w, r) && c.hasSession(r) {
		return "session", nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		ok, err := c.isToken(strings.TrimSpace(token))
		if err != nil {
			return "", err
		}
		if ok {
			return "token", nil
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="perdure codec"`)
	return "", &responses.Error{
		Status: http.StatusUnauthorized, Type: responses.ErrUnauthorized,
		Message: "send the token of encryption.codec as Authorization: Bearer TOKEN, or sign in at " + codecPath + "/ in the browser of the Web UI",
	}
}

// isToken compares in a time that tells nothing of the token, and a few times a second only.
func (c *codecEndpoint) isToken(text string) (bool, error) {
	given, want := sha256.Sum256([]byte(text)), c.tokenHash()
	if !c.tries.mayTry() {
		return false, &responses.Error{
			Status: http.StatusTooManyRequests, Type: responses.ErrRateLimited, Message: "too many wrong tokens; wait a moment",
		}
	}
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		return false, nil
	}
	c.tries.giveBack()
	return true, nil
}

func (c *codecEndpoint) tokenHash() [sha256.Size]byte {
	return sha256.Sum256([]byte(c.Codec.Token.Reveal()))
}

// log notes each use, with whose payloads it was for, and without what is in them.
func (c *codecEndpoint) log(w http.ResponseWriter, r *http.Request, by string, body []byte) {
	var in commonpb.Payloads
	_ = protojson.Unmarshal(body, &in) // what cannot be read, the handler refuses
	var workflows []string
	for _, p := range in.GetPayloads() {
		if id := payload.WorkflowOf(p); id != "" && !slices.Contains(workflows, id) && len(workflows) < maxNamed {
			workflows = append(workflows, clip(id))
		}
	}
	c.Logger.InfoContext(r.Context(), "codec endpoint used", "request", requestID(w), "path", r.URL.Path, "by", by,
		"namespace", clip(r.Header.Get("X-Namespace")), "payloads", len(in.GetPayloads()), "workflows", workflows, "remote", r.RemoteAddr)
}

// tries bounds how often something may be tried: some times at once, and so often in a second from then on.
type tries struct {
	perSecond, most float64
	mu              sync.Mutex
	left            float64
	at              time.Time
}

const (
	triesPerSecond = 3
	triesAtOnce    = 10
)

func newTries(perSecond, most float64) *tries {
	return &tries{perSecond: perSecond, most: most, left: most, at: time.Now()}
}

func (t *tries) mayTry() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.left = min(t.most, t.left+now.Sub(t.at).Seconds()*t.perSecond)
	t.at = now
	if t.left < 1 {
		return false
	}
	t.left--
	return true
}

// giveBack is for a try that succeeded: only the others are counted.
func (t *tries) giveBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = min(t.most, t.left+1)
}
