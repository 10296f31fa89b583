package starter

import (
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/responses"
)

type shownOrganization struct {
	ID                      string `json:"id"`
	Object                  string `json:"object"`
	CreatedAt               int64  `json:"created_at"`
	MembersMayAddConnectors bool   `json:"members_may_add_connectors"`
}

// getOrganization answers with the caller's organization. One that only the configuration names begins here.
func (s *Starter) getOrganization(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	o, err := s.Connections.Organization(r.Context(), caller(r, who))
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showOrganization(o))
}

func showOrganization(o identity.Organization) shownOrganization {
	return shownOrganization{
		ID: o.ID, Object: "organization", CreatedAt: o.Created.Unix(), MembersMayAddConnectors: o.Settings.MembersMayAddConnectors,
	}
}

// updateOrganization changes the settings that are given.
func (s *Starter) updateOrganization(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := requireAdmin(who); err != nil {
		return err
	}
	var given struct {
		MembersMayAddConnectors *bool `json:"members_may_add_connectors"`
	}
	if err := s.readStrict(w, r, who, &given); err != nil {
		return err
	}
	if given.MembersMayAddConnectors == nil {
		return responses.Invalid("members_may_add_connectors", "is missing: give true or false")
	}
	o, err := s.Connections.LetMembersAdd(r.Context(), caller(r, who), *given.MembersMayAddConnectors)
	if err != nil {
		return err
	}
	return s.writeValue(w, r, showOrganization(o))
}

// requireAdmin refuses everybody else, and keys that an admin has made for less.
func requireAdmin(who identity.Principal) error {
	if who.Role != identity.Admin {
		return forbidden("only admins of the organization may do this, with a key that has the scope " + identity.ScopeAdmin.String())
	}
	return nil
}

// readStrict reads a body that is small and has no members but those of the struct.
func (s *Starter) readStrict(w http.ResponseWriter, r *http.Request, who identity.Principal, into any) error {
	body, memory, err := s.readBody(w, r, who)
	if err != nil {
		return err
	}
	defer memory.done()
	return responses.DecodeStrict(body, into)
}

type shownCaller struct {
	Object       string   `json:"object"`
	Organization string   `json:"organization"`
	User         string   `json:"user"`
	Role         string   `json:"role"`
	Scopes       []string `json:"scopes"`
}

// getCaller answers with who the caller is.
func (s *Starter) getCaller(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	return s.writeValue(w, r, shownCaller{
		Object: "caller", Organization: who.Organization, User: who.User, Role: string(who.Role), Scopes: who.Scopes.Names(),
	})
}
