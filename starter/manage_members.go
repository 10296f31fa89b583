package starter

import (
	"context"
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// What follows is what admins do with members: over the API, and on pages.

// Members lists the members of the caller's organization.
func (s *Starter) Members(ctx context.Context, who identity.Principal, page store.Page) (members []identity.User, next string, err error) {
	if err := requireAdmin(who); err != nil {
		return nil, "", err
	}
	return s.Store.Members(ctx, who.Organization, page)
}

// Member returns a member of the caller's organization.
func (s *Starter) Member(ctx context.Context, who identity.Principal, id string) (identity.User, error) {
	if err := requireAdmin(who); err != nil {
		return identity.User{}, err
	}
	return s.Store.Member(ctx, who.Organization, id)
}

// AddMember adds a member. The address, by which a sign-in finds them, is optional.
func (s *Starter) AddMember(r *http.Request, who identity.Principal, id, address, roleName string) (identity.User, error) {
	if err := requireAdmin(who); err != nil {
		return identity.User{}, err
	}
	if err := identity.CheckName(id); err != nil {
		return identity.User{}, responses.Invalid("id", "%s", err)
	}
	email, err := identity.ParseEmail(address)
	if err != nil {
		return identity.User{}, responses.Invalid("email", "%s", err)
	}
	role, err := identity.ParseRole(roleName)
	if err != nil {
		return identity.User{}, responses.Invalid("role", "%s", err)
	}
	by := actor(r, who)
	if _, err := s.Store.EnsureOrganization(r.Context(), by); err != nil {
		return identity.User{}, err
	}
	return s.Store.AddMember(r.Context(), by, id, email, role)
}

// SetMemberRole gives a member another role. The last admin stays one.
func (s *Starter) SetMemberRole(r *http.Request, who identity.Principal, id, roleName string) (identity.User, error) {
	if err := requireAdmin(who); err != nil {
		return identity.User{}, err
	}
	role, err := identity.ParseRole(roleName)
	if err != nil {
		return identity.User{}, responses.Invalid("role", "%s", err)
	}
	if err := s.Store.SetRole(r.Context(), actor(r, who), id, role); err != nil {
		return identity.User{}, err
	}
	s.callers.forget()
	return s.Store.Member(r.Context(), who.Organization, id)
}

// RemoveMember removes a member with what is theirs alone. Their keys and sessions end with it. The last admin stays.
func (s *Starter) RemoveMember(r *http.Request, who identity.Principal, id string) error {
	if err := requireAdmin(who); err != nil {
		return err
	}
	if err := s.Store.RemoveMember(r.Context(), actor(r, who), id); err != nil {
		return err
	}
	s.callers.forget()
	return nil
}
