package starter

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"time"

	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

const (
	sessionCookie = "perdure_codec"
	// sessionAge is how long an operator who has signed in may go on.
	sessionAge = 2 * time.Hour
	// maxForm bounds the form with the token: bytes.
	maxForm = 8 << 10
)

// sessionBinding is for the value of the cookie: when the session ends, and a hash of the token, so that it ends with the token, too. Any
// starter can open it.
var sessionBinding = secret.Binding{Purpose: "codec session"}

// newSession returns the value of a cookie.
func (c *codecEndpoint) newSession(until time.Time) (string, error) {
	hash := c.tokenHash()
	sealed, err := c.Sealer.Seal(append(binary.BigEndian.AppendUint64(nil, uint64(until.Unix())), hash[:]...), sessionBinding)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (c *codecEndpoint) hasSession(r *http.Request) bool {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return false
	}
	plain, err := c.Sealer.Open(sealed, sessionBinding)
	hash := c.tokenHash()
	if err != nil || len(plain) != 8+len(hash) || subtle.ConstantTimeCompare(plain[8:], hash[:]) != 1 {
		return false
	}
	return time.Now().Unix() < int64(binary.BigEndian.Uint64(plain))
}

// setSession sets the cookie, or removes it if it has no value. The Web UI is another origin on the same site, to which the browser sends
// it; pages of other sites have nothing of it.
func setSession(w http.ResponseWriter, r *http.Request, value string) {
	age := int(sessionAge.Seconds())
	if value == "" {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: codecPath, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: isHTTPS(r),
	})
}

// isHTTPS reports whether the browser's connection is encrypted, as far as we, or the proxy before us, know.
func isHTTPS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// page shows a form to sign in or to sign out.
func (c *codecEndpoint) page(w http.ResponseWriter, r *http.Request) error {
	return c.show(w, r, http.StatusOK, "")
}

// signIn takes the token from the form.
func (c *codecEndpoint) signIn(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(c.bodyTimeout)); err != nil {
		return err
	}
	ok, err := c.isToken(strings.TrimSpace(r.PostFormValue("token")))
	var shown *responses.Error
	if errors.As(err, &shown) {
		return c.show(w, r, shown.Status, shown.Message)
	}
	if err != nil {
		return err
	}
	if !ok {
		c.Logger.WarnContext(r.Context(), "sign-in to the codec endpoint refused", "request", requestID(w), "remote", r.RemoteAddr)
		return c.show(w, r, http.StatusUnauthorized, "That is not the token.")
	}
	value, err := c.newSession(time.Now().Add(sessionAge))
	if err != nil {
		return err
	}
	c.Logger.InfoContext(r.Context(), "operator signed in to the codec endpoint", "request", requestID(w), "remote", r.RemoteAddr)
	setSession(w, r, value)
	http.Redirect(w, r, codecPath+"/", http.StatusSeeOther)
	return nil
}

func (c *codecEndpoint) signOut(w http.ResponseWriter, r *http.Request) error {
	setSession(w, r, "")
	http.Redirect(w, r, codecPath+"/", http.StatusSeeOther)
	return nil
}

// codecContent is what the template of the codec endpoint shows.
type codecContent struct {
	Problem, Path, Endpoint string
	SignedIn                bool
}

func (c *codecEndpoint) show(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	scheme := "http://"
	if isHTTPS(r) {
		scheme = "https://"
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "2")
	}
	return c.render(w, r, status, "codec", page.Frame{
		Title: "Perdure codec endpoint", Theme: page.Theme(r), Path: "/",
		Content: codecContent{problem, codecPath, scheme + r.Host + codecPath, c.hasSession(r)},
	})
}
