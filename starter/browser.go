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
// changes something must come from a page of ours. Errors meet a person in failed, and a script in the words of the API.
func (s *Starter) Page(h PageHandler, failed ErrorPage) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.secureCookies(r) {
			r = page.BehindHTTPS(r)
		}
		fail := func(who *identity.Principal, err error) {
			if forScript(r) {
				s.writeError(w, r, err)
				return
			}
			failed(w, r, who, s.ErrorOf(w, r, err))
		}
		who, ok, err := s.signedIn(r)
		if err == nil && !ok {
			err = s.signedOut(w, r)
		}
		if err != nil {
			fail(nil, err)
			return
		}
		if !ok {
			return
		}
		if err := s.delivered(r, s.limited(w, r, who, h)); err != nil {
			fail(&who, err)
		}
	})
}

// forScript reports whether a script of ours wants to read the answer, rather than a person.
func forScript(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return accept == "application/json" || accept == "text/event-stream"
}

// signedOut answers who is not signed in. Whoever wanted a page is sent to sign in; a form that was sent is not: it would lead to the
// provider's origin, to which browsers follow no form of ours, so that nothing would seem to happen.
func (s *Starter) signedOut(w http.ResponseWriter, r *http.Request) error {
	switch {
	case forScript(r):
		return unauthorized("your session has ended: sign in again, then reload the page")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		address := signInPath + "?" + url.Values{"return": {r.URL.RequestURI()}}.Encode()
		http.Redirect(w, r, address, http.StatusSeeOther)
		return nil
	default:
		return s.showPage(w, r, http.StatusUnauthorized, notice{
			Title: "Signed out", Text: "Your session has ended; nothing was changed.", Remedy: "Sign in, then go back and send the form again.",
			Link: signInPath, LinkText: "Sign in",
		})
	}
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
