package starter

import (
	"net/http"
	"strings"
	"time"

	"perdure/internal/identity"
)

const (
	browserCookie = "perdure_session"
	signInPath    = "/rest/auth/sign-in"
	signOutPath   = "/rest/auth/sign-out"
	linkPath      = "/rest/auth/link"
)

// sessionToken returns the token of the browser's session, if it sends one.
func sessionToken(r *http.Request) (string, bool) {
	cookie, err := r.Cookie(browserCookie)
	if err != nil || cookie.Value == "" {
		return "", false
	}
	return cookie.Value, true
}

// secureCookies reports whether browsers are to send our cookies over https alone.
func (s *Starter) secureCookies(r *http.Request) bool {
	return isHTTPS(r) || strings.HasPrefix(s.SignIn.PublicURL, "https://")
}

// startSession signs a browser in. The session it had before ends: whoever gave it to this browser is not to follow.
func (s *Starter) startSession(w http.ResponseWriter, r *http.Request, organization, user string) error {
	who := identity.Principal{Organization: organization, User: user, Key: "sign-in"}
	if token, ok := sessionToken(r); ok {
		if before, ok, err := s.callers.ofSession(r.Context(), token); err != nil {
			return err
		} else if ok {
			if err := s.Store.EndSession(r.Context(), actor(r, before), token); err != nil {
				return err
			}
		}
	}
	session, token := identity.NewSession(organization, user, time.Now())
	if err := s.Store.AddSession(r.Context(), actor(r, who), session); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Value: token.Reveal(), Path: "/", MaxAge: int(identity.SessionFor.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secureCookies(r),
	})
	return nil
}

// signOut ends the session of a browser.
func (s *Starter) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.crossOrigin.Check(r); err != nil {
		return forbidden("a page of another origin may not sign you out")
	}
	if token, ok := sessionToken(r); ok {
		who, ok, err := s.callers.ofSession(r.Context(), token)
		if err != nil {
			return err
		}
		if ok {
			if err := s.Store.EndSession(r.Context(), actor(r, who), token); err != nil {
				return err
			}
		}
	}
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secureCookies(r),
	})
	http.Redirect(w, r, signInPath+"?signed_out=1", http.StatusSeeOther)
	return nil
}
