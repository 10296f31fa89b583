package starter

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
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

// AuditLog lists who did what in the caller's organization, the latest first.
func (s *Starter) AuditLog(ctx context.Context, who identity.Principal, f store.EventFilter, page store.Page) (events []identity.Event, next string, err error) {
	if err := requireAdmin(who); err != nil {
		return nil, "", err
	}
	return s.Store.Events(ctx, who.Organization, f, page)
}

func (s *Starter) listAuditLog(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	page, params, err := storePage(r, "action", "user", "target", "created_after", "created_before")
	if err != nil {
		return err
	}
	filter := store.EventFilter{Action: params.Get("action"), User: params.Get("user"), Target: params.Get("target")}
	for name, bound := range map[string]*time.Time{"created_after": &filter.From, "created_before": &filter.Before} {
		if text := params.Get(name); text != "" {
			seconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return responses.Invalid(name, "must be a time in seconds since 1970")
			}
			*bound = time.Unix(seconds, 0)
		}
	}
	events, next, err := s.AuditLog(r.Context(), who, filter, page)
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
