package starter

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/secret"
	"perdure/internal/signin"
	"perdure/internal/store"
)

// SignIn is how people sign in with a browser.
type SignIn struct {
	// PublicURL is the origin under which browsers reach us, such as https://agents.example.com.
	PublicURL string
	// OIDC is the provider that knows people; nil: there is none.
	OIDC *signin.Provider
	// Links are those that sign the one in who reads them on the terminal; nil: there are none.
	Links *SignInLinks
}

const (
	// pendingPrefix begins the names of cookies of sign-ins that were begun, one for each: a browser with two tabs may begin two.
	pendingPrefix = "perdure_signing_in_"
	// maxPending is how many a browser may have begun. Each has a cookie of some 400 bytes, which is sent along to authPath.
	maxPending = 5
	authPath   = "/rest/auth"
)

var pendingBinding = secret.Binding{Purpose: "sign-in"}

// signIn sends a browser off to sign in, and says what to do where there is nowhere to send it.
func (s *Starter) signIn(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Query().Get("signed_out") != "" {
		return s.showPage(w, r, http.StatusOK, notice{Title: "Signed out", Text: "You are signed out.", Link: signInPath, LinkText: "Sign in"})
	}
	if s.SignIn.OIDC == nil {
		return s.showPage(w, r, http.StatusUnauthorized, notice{
			Title: "Sign in", Text: "No sign-in provider is configured here.",
			Remedy: "Open the sign-in link that \"perdure dev\" printed when it started, or set auth.oidc in the configuration.",
		})
	}
	address, pending, err := s.SignIn.OIDC.Begin(r.Context(), page.LocalPath(r.URL.Query().Get("return")), time.Now())
	if err != nil {
		return s.showSignInError(w, r, err)
	}
	text, err := json.Marshal(pending)
	if err != nil {
		return err
	}
	sealed, err := s.Sealer.Seal(text, pendingBinding)
	if err != nil {
		return err
	}
	s.forgetOldest(w, r)
	s.setPending(w, r, pendingCookie(pending.State), base64.RawURLEncoding.EncodeToString(sealed), int(signin.PendingFor.Seconds()))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// pendingCookie is the name of the cookie of the sign-in with a state.
func pendingCookie(state string) string {
	sum := sha256.Sum256([]byte(state))
	return pendingPrefix + hex.EncodeToString(sum[:8])
}

// forgetOldest makes room for another sign-in that is begun.
func (s *Starter) forgetOldest(w http.ResponseWriter, r *http.Request) {
	expires := map[string]time.Time{} // by names of cookies; zero for one that fits no callback
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, pendingPrefix) {
			expires[cookie.Name] = s.pendingSignIn(cookie).Expires
		}
	}
	names := slices.SortedFunc(maps.Keys(expires), func(a, b string) int { return expires[a].Compare(expires[b]) })
	for _, name := range names[:max(0, len(names)-maxPending+1)] {
		s.setPending(w, r, name, "", -1)
	}
}

func (s *Starter) setPending(w http.ResponseWriter, r *http.Request, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: authPath, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secureCookies(r),
	})
}

// signInCallback is where the provider sends the browser back to.
func (s *Starter) signInCallback(w http.ResponseWriter, r *http.Request) error {
	if s.SignIn.OIDC == nil {
		return store.ErrNotFound
	}
	var pending signin.Pending // fits no callback
	if cookie, err := r.Cookie(pendingCookie(r.URL.Query().Get("state"))); err == nil {
		pending = s.pendingSignIn(cookie)
		s.setPending(w, r, cookie.Name, "", -1) // and no other: another tab may be at the provider still
	}
	person, err := s.SignIn.OIDC.Complete(r.Context(), pending, r.URL.Query(), time.Now())
	if err != nil {
		return s.showSignInError(w, r, err)
	}
	user, err := s.member(r, person)
	if err != nil {
		return err
	}
	if err := s.startSession(w, r, user.Organization, user.ID); err != nil {
		return err
	}
	http.Redirect(w, r, page.LocalPath(pending.Return), http.StatusSeeOther)
	return nil
}

// pendingSignIn is empty, and so fits no callback, if the cookie has none that we sealed.
func (s *Starter) pendingSignIn(cookie *http.Cookie) (pending signin.Pending) {
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return pending
	}
	text, err := s.Sealer.Open(sealed, pendingBinding)
	if err != nil || json.Unmarshal(text, &pending) != nil {
		return signin.Pending{}
	}
	return pending
}

func (s *Starter) showSignInError(w http.ResponseWriter, r *http.Request, err error) error {
	var refusal *signin.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	status := http.StatusForbidden
	if signin.IsAway(err) {
		status = http.StatusBadGateway
	}
	s.Logger.WarnContext(r.Context(), "sign-in failed", "request", requestID(w), "remote", r.RemoteAddr, "error", err)
	return s.showPage(w, r, status, notice{
		Title: "Sign-in failed", Text: sentence(refusal.Message), Remedy: sentence(refusal.Remedy), Link: signInPath, LinkText: "Sign in again",
	})
}

// member returns the member that a person is. Who comes for the first time becomes one.
func (s *Starter) member(r *http.Request, p signin.Person) (identity.User, error) {
	ctx := r.Context()
	by := actor(r, identity.Principal{Organization: p.Organization, User: p.Email, Key: "oidc"})
	if _, err := s.Store.EnsureOrganization(ctx, by); err != nil {
		return identity.User{}, err
	}
	user, err := s.Store.MemberByEmail(ctx, p.Organization, p.Email)
	if errors.Is(err, store.ErrNotFound) {
		return s.newMember(ctx, by, p)
	}
	if err != nil || p.Role == "" || p.Role == user.Role {
		return user, err
	}
	err = s.Store.SetRole(ctx, by, user.ID, p.Role)
	if errors.Is(err, store.ErrLastAdmin) {
		return user, nil // an organization keeps one; the provider's word counts when there is another
	}
	s.callers.forget()
	user.Role = p.Role
	return user, err
}

// newMember adds a member by their e-mail address. Where somebody has that name already, who may be another, a person has to decide.
func (s *Starter) newMember(ctx context.Context, by identity.Actor, p signin.Person) (identity.User, error) {
	role := p.Role
	if role == "" {
		role = identity.Member
	}
	id := strings.ToLower(p.Email)
	if identity.CheckName(id) != nil {
		return identity.User{}, forbidden("your e-mail address cannot be a user's name here: an admin has to add you as a member with it")
	}
	user, err := s.Store.AddMember(ctx, by, id, p.Email, role)
	if errors.Is(err, store.ErrConflict) {
		return user, forbidden("another member has your e-mail address as their name: an admin has to enter it as theirs, or as yours")
	}
	return user, err
}
