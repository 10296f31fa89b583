package starter

import (
	"errors"
	"net/http"
	"net/url"

	"perdure/internal/connection"
	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/responses"
)

// Pages registers the pages that people see, which work with the API. internal/ui has them.
type Pages func(api *Starter, handle func(pattern string, h http.Handler))

// PageHandler answers the request of a person who is signed in.
type PageHandler func(w http.ResponseWriter, r *http.Request, who identity.Principal) error

// ErrorPage shows a person what went wrong. who is nil for a person who is not signed in.
type ErrorPage func(w http.ResponseWriter, r *http.Request, who *identity.Principal, shown *responses.Error)

// Page adapts the handler of a page, within the limits of the session. Who is not signed in is sent to sign in, and from there back. What
// changes something must come from a page of ours. Errors meet a person in failed.
func (s *Starter) Page(h PageHandler, failed ErrorPage) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.secureCookies(r) {
			r = page.BehindHTTPS(r)
		}
		who, ok, err := s.signedIn(r)
		switch {
		case err != nil:
			failed(w, r, nil, s.shown(w, r, err))
			return
		case !ok:
			http.Redirect(w, r, signInFor(r), http.StatusSeeOther)
			return
		}
		err = s.delivered(r, s.limited(w, r, who, h))
		if err != nil {
			failed(w, r, &who, s.shown(w, r, err))
		}
	})
}

// Caller is who asks for a page, as connections know them.
func (s *Starter) Caller(r *http.Request, who identity.Principal) connection.Caller {
	return caller(r, who)
}

// signedIn returns who is behind the session of a browser; false: nobody.
func (s *Starter) signedIn(r *http.Request) (who identity.Principal, ok bool, err error) {
	token, ok := sessionToken(r)
	if !ok {
		return who, false, nil
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return who, false, forbidden("a page of another origin may not send this with your session")
	}
	return s.callers.ofSession(r.Context(), token)
}

// delivered passes on what went wrong with a page, unless it is that nobody is left to look at it.
func (s *Starter) delivered(r *http.Request, err error) error {
	if err == nil || !errors.Is(err, page.ErrNotDelivered) && r.Context().Err() == nil {
		return err
	}
	s.Logger.DebugContext(r.Context(), "answer not delivered", "path", r.URL.Path, "error", err)
	return nil
}

// signInFor is where a person signs in who wanted a page. A form that was sent cannot be sent again.
func signInFor(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return signInPath
	}
	return signInPath + "?" + url.Values{"return": {r.URL.RequestURI()}}.Encode()
}
