package ui

import (
	"net/http"

	"perdure/internal/identity"
	"perdure/internal/store"
)

const organizationPath = "/enterprise/organization"

// organizationPage is what there is to know of an organization.
type organizationPage struct {
	identity.Organization
	Members, Admins int
	More            bool // there are more members than were counted
}

func (u *ui) organization(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	members, next, err := u.api.Members(r.Context(), who, store.Page{Limit: 200})
	if err != nil {
		return err
	}
	c := organizationPage{Members: len(members), More: next != ""}
	for _, m := range members {
		if m.Role == identity.Admin {
			c.Admins++
		}
	}
	if c.Organization, err = u.api.Store.Organization(r.Context(), who.Organization); err != nil {
		return err
	}
	return u.show(w, "organization", u.frame(w, r, who, "Organization", organizationPath, c))
}
