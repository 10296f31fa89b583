package starter

import (
	"net/http"

	"perdure/internal/identity"
)

type shownMember struct {
	ID        string  `json:"id"`
	Object    string  `json:"object"`
	CreatedAt int64   `json:"created_at"`
	Email     *string `json:"email"`
	Role      string  `json:"role"`
}

func showMember(u identity.User) shownMember {
	shown := shownMember{ID: u.ID, Object: "organization.member", CreatedAt: u.Created.Unix(), Role: string(u.Role)}
	if u.Email != "" {
		shown.Email = &u.Email
	}
	return shown
}

func (s *Starter) listMembers(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	page, _, err := storePage(r)
	if err != nil {
		return err
	}
	members, next, err := s.Members(r.Context(), who, page)
	if err != nil {
		return err
	}
	shown := make([]shownMember, len(members))
	for i, m := range members {
		shown[i] = showMember(m)
	}
	return s.writeValue(w, r, newList(shown, next, func(m shownMember) string { return m.ID }))
}

func (s *Starter) addMember(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := requireAdmin(who); err != nil {
		return err
	}
	given := struct {
		ID    string `json:"id"`
		Email string `json:"email"`
		Role  string `json:"role"`
	}{Role: string(identity.Member)}
	if err := s.readStrict(w, r, who, &given); err != nil {
		return err
	}
	member, err := s.AddMember(r, who, given.ID, given.Email, given.Role)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showMember(member))
}

// updateMember changes a member's role.
func (s *Starter) updateMember(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := requireAdmin(who); err != nil {
		return err
	}
	var given struct {
		Role string `json:"role"`
	}
	if err := s.readStrict(w, r, who, &given); err != nil {
		return err
	}
	member, err := s.SetMemberRole(r, who, r.PathValue("id"), given.Role)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showMember(member))
}

func (s *Starter) removeMember(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	if err := s.RemoveMember(r, who, id); err != nil {
		return err
	}
	return s.writeValue(w, r, deleted("organization.member", id))
}

type shownDeletion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Deleted bool   `json:"deleted"`
}

func deleted(object, id string) shownDeletion {
	return shownDeletion{ID: id, Object: object + ".deleted", Deleted: true}
}
