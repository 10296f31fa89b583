package ui

import (
	"net/http"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/store"
	"perdure/starter"
)

// admins lets admins of the organization through, and tells others where they are.
func admins(h starter.PageHandler) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		if who.Role != identity.Admin {
			return &connector.Denied{
				Reason: "only admins of the organization may see its settings: ask one of them, or go to your own connectors under Account settings",
			}
		}
		return h(w, r, who)
	}
}

type permissionsContent struct {
	MembersMayAdd bool
	Redirect      string // the OAuth redirect URL
	Add           string
	Organization  connectorGroup
	Members       connectorGroup
	Unreviewed    int // of the members' connectors that are shown
}

// connectorsPermissions is what admins decide about connectors.
func (u *ui) connectorsPermissions(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	by := u.api.Caller(r, who)
	o, err := u.api.Connections.Organization(r.Context(), by)
	if err != nil {
		return err
	}
	c := permissionsContent{
		MembersMayAdd: o.Settings.MembersMayAddConnectors, Redirect: u.api.Connections.OAuth.RedirectURI(), Add: enterpriseSection.Path + "/new",
	}
	c.Organization, err = u.connectorGroup(r, by, enterpriseSection, "organization", store.ConnectorFilter{Scope: connector.Organization})
	if err != nil {
		return err
	}
	c.Members, err = u.connectorGroup(r, by, enterpriseSection, "members", store.ConnectorFilter{Scope: connector.Individual})
	if err != nil {
		return err
	}
	for _, card := range c.Members.Cards {
		if card.isMembers() && !card.IsVetted() && card.Restricted == nil {
			c.Unreviewed++
		}
	}
	return u.show(w, "connectors_permissions", u.connectorsFrame(w, r, who, enterpriseSection.Title, enterpriseSection, c))
}

// letMembersAdd is the toggle.
func (u *ui) letMembersAdd(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	o, err := u.api.Connections.LetMembersAdd(r.Context(), u.api.Caller(r, who), form.Get("members") == "may")
	if err != nil {
		return err
	}
	f := page.Flash{Text: "Members may not add custom connectors any more. Those that they have stay."}
	if o.Settings.MembersMayAddConnectors {
		f.Text = "Members may add custom connectors now."
	}
	return done(w, r, enterpriseSection.Path, f)
}
