package ui

import (
	"errors"
	"net/http"
	"strings"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/internal/store"
)

const membersPath = "/enterprise/members"

// membersPage lists the members of an organization.
type membersPage struct {
	Organization string
	Members      []memberRow
	Next         string
}

type memberRow struct {
	identity.User
	Me bool
	// OnlyAdmin is the admin without whom the organization would have none.
	OnlyAdmin bool
}

func (u *ui) members(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	cursor := r.URL.Query().Get("page")
	members, next, err := u.api.Members(r.Context(), who, store.Page{After: cursor})
	if err != nil {
		return err
	}
	c := membersPage{Organization: who.Organization, Next: nextPage(r, next)}
	admins := 0
	for _, m := range members {
		if m.Role == identity.Admin {
			admins++
		}
		c.Members = append(c.Members, memberRow{User: m, Me: m.ID == who.User})
	}
	// Of a longer list it is not known, and the store refuses in any case.
	if admins == 1 && cursor == "" && next == "" {
		for i := range c.Members {
			c.Members[i].OnlyAdmin = c.Members[i].Role == identity.Admin
		}
	}
	return u.show(w, "members", u.frame(w, r, who, "Members", membersPath, c))
}

// memberForm is the form of a new member.
type memberForm struct {
	ID, Email, Role string
	Problem         *responses.Error
}

// ProblemAt is what is wrong with a field.
func (f memberForm) ProblemAt(field string) string {
	if f.Problem == nil || f.Problem.Param != field {
		return ""
	}
	return f.Problem.Message
}

func (u *ui) newMember(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	// What a member could not send is not offered either.
	if _, err := u.api.Member(r.Context(), who, who.User); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return u.showMemberForm(w, r, who, http.StatusOK, memberForm{Role: string(identity.Member)})
}

func (u *ui) showMemberForm(w http.ResponseWriter, r *http.Request, who identity.Principal, status int, f memberForm) error {
	return u.showStatus(w, status, "member_new", u.frame(w, r, who, "Add a member", membersPath, f))
}

func (u *ui) addMember(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	f := memberForm{ID: strings.TrimSpace(form.Get("id")), Email: strings.TrimSpace(form.Get("email")), Role: form.Get("role")}
	member, err := u.api.AddMember(r, who, f.ID, f.Email, f.Role)
	if errors.Is(err, store.ErrConflict) {
		f.Problem = responses.Invalid("id", "the organization has a member of this name or with this e-mail address already")
		return u.showMemberForm(w, r, who, http.StatusConflict, f)
	}
	if shown, ok := refusal(err); ok {
		f.Problem = shown
		return u.showMemberForm(w, r, who, shown.Status, f)
	}
	if err != nil {
		return err
	}
	return seeOther(w, r, membersPath, member.ID+" is a member now.")
}

func (u *ui) setRole(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	member, err := u.api.SetMemberRole(r, who, r.PathValue("id"), form.Get("role"))
	if errors.Is(err, store.ErrLastAdmin) {
		return refuseLastAdmin(w, r)
	}
	if err != nil {
		return err
	}
	if member.ID == who.User && member.Role != identity.Admin {
		return seeOther(w, r, accountPath, "You are no admin any more.")
	}
	role := "a member"
	if member.Role == identity.Admin {
		role = "an admin"
	}
	return seeOther(w, r, membersPath, member.ID+" is "+role+" now.")
}

func refuseLastAdmin(w http.ResponseWriter, r *http.Request) error {
	page.SetFlash(w, r, page.Flash{Failed: true, Text: "The organization would have no admin. Make another member an admin first."})
	return seeOther(w, r, membersPath, "")
}

// memberPage is about one member.
type memberPage struct {
	Member identity.User
	Me     bool
}

func (u *ui) confirmRemove(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	member, err := u.api.Member(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	return u.show(w, "member_remove", u.frame(w, r, who, "Remove member", membersPath, memberPage{member, member.ID == who.User}))
}

func (u *ui) removeMember(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	err := u.api.RemoveMember(r, who, id)
	if errors.Is(err, store.ErrLastAdmin) {
		return refuseLastAdmin(w, r)
	}
	if err != nil {
		return err
	}
	return seeOther(w, r, membersPath, id+" is no member any more. Their keys and sessions have ended.")
}
