package starter

import (
	"net/http"

	"perdure/internal/identity"
)

type shownEvent struct {
	ID        string            `json:"id"`
	Object    string            `json:"object"`
	CreatedAt int64             `json:"created_at"`
	User      string            `json:"user"`
	Key       string            `json:"key"`
	Address   string            `json:"address"`
	Action    string            `json:"action"`
	Target    string            `json:"target"`
	Detail    map[string]string `json:"detail"`
}

// listAuditLog lists who did what, the latest first.
func (s *Starter) listAuditLog(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := requireAdmin(who); err != nil {
		return err
	}
	page, _, err := storePage(r)
	if err != nil {
		return err
	}
	events, next, err := s.Store.Events(r.Context(), who.Organization, page)
	if err != nil {
		return err
	}
	shown := make([]shownEvent, len(events))
	for i, e := range events {
		shown[i] = shownEvent{
			ID: e.ID, Object: "organization.audit_event", CreatedAt: e.At.Unix(), User: e.Actor.User, Key: e.Actor.Key,
			Address: e.Actor.Address, Action: e.Action, Target: e.Target, Detail: e.Detail,
		}
		if e.Detail == nil {
			shown[i].Detail = map[string]string{}
		}
	}
	return s.writeValue(w, r, newList(shown, next, func(e shownEvent) string { return e.ID }))
}
