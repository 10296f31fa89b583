package starter

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"sync"
	"time"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/secret"
)

// LinkFor is how long a sign-in link is good.
const LinkFor = 15 * time.Minute

// maxLinks bounds how many links wait to be used.
const maxLinks = 100

// SignInLinks signs in who opens a link, once. It keeps hashes, in memory alone: it is for "perdure dev", which is one process.
type SignInLinks struct {
	mu    sync.Mutex
	links map[identity.KeyHash]signInLink
}

type signInLink struct {
	organization, user string
	expires            time.Time
}

// NewSignInLinks returns an empty collection.
func NewSignInLinks() *SignInLinks { return &SignInLinks{links: map[identity.KeyHash]signInLink{}} }

// New returns the path, with its query, of a link for a member. It is a secret until it has been used, or [LinkFor] is over.
func (l *SignInLinks) New(organization, user string, now time.Time) secret.String {
	l.mu.Lock()
	defer l.mu.Unlock()
	for hash, link := range l.links {
		if now.After(link.expires) || len(l.links) >= maxLinks {
			delete(l.links, hash)
		}
	}
	token := rand.Text() + rand.Text()
	l.links[identity.HashKey(token)] = signInLink{organization, user, now.Add(LinkFor)}
	return secret.New(linkPath + "?" + url.Values{"token": {token}}.Encode())
}

// take returns whom a link is for, and spends it.
func (l *SignInLinks) take(token string, now time.Time) (signInLink, bool) {
	hash := identity.HashKey(token)
	l.mu.Lock()
	defer l.mu.Unlock()
	link, ok := l.links[hash]
	delete(l.links, hash)
	return link, ok && now.Before(link.expires)
}

// useLink signs in who opens a link.
func (s *Starter) useLink(w http.ResponseWriter, r *http.Request) error {
	var link signInLink
	ok := false
	if s.SignIn.Links != nil {
		link, ok = s.SignIn.Links.take(r.URL.Query().Get("token"), time.Now())
	}
	if !ok {
		return s.showPage(w, r, http.StatusForbidden, notice{
			Title: "Sign-in failed", Text: "The link is not good any more: it works once, and for 15 minutes.",
			Remedy: "Restart \"perdure dev\" for another one.",
		})
	}
	if err := s.startSession(w, r, link.organization, link.user); err != nil {
		return err
	}
	http.Redirect(w, r, page.LocalPath(r.URL.Query().Get("return")), http.StatusSeeOther)
	return nil
}
