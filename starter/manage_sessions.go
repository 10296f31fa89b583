package starter

import (
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/store"
)

// Sessions lists the browsers in which a person is signed in, the latest first. current is the ID of the one that asks.
func (s *Starter) Sessions(r *http.Request, who identity.Principal) (sessions []identity.Session, current string, err error) {
	if token, ok := sessionToken(r); ok {
		current = identity.Session{Hash: identity.HashKey(token)}.ID()
	}
	sessions, err = s.Store.Sessions(r.Context(), who.Organization, who.User)
	return sessions, current, err
}

// EndSession signs a person out in the browser with the session of an ID.
func (s *Starter) EndSession(r *http.Request, who identity.Principal, id string) error {
	sessions, _, err := s.Sessions(r, who)
	if err != nil {
		return err
	}
	for _, session := range sessions {
		if session.ID() == id {
			return s.Store.EndSessionOf(r.Context(), actor(r, who), who.User, session.Hash)
		}
	}
	return store.ErrNotFound
}

// EndOtherSessions signs a person out everywhere but in the browser that asks, and returns how many sessions that ended.
func (s *Starter) EndOtherSessions(r *http.Request, who identity.Principal) (ended int, err error) {
	sessions, current, err := s.Sessions(r, who)
	if err != nil {
		return 0, err
	}
	for _, session := range sessions {
		if session.ID() == current {
			continue
		}
		if err := s.Store.EndSessionOf(r.Context(), actor(r, who), who.User, session.Hash); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}
