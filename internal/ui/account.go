package ui

import (
	"net/http"
	"strconv"

	"perdure/internal/identity"
)

const accountPath = "/settings/account"

// accountPage is who is signed in, and where.
type accountPage struct {
	Organization, User string
	Role               identity.Role
	Sessions           []sessionRow
	Others             int // sessions besides this one
}

type sessionRow struct {
	identity.Session
	Current bool
}

func (u *ui) account(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	sessions, current, err := u.api.Sessions(r, who)
	if err != nil {
		return err
	}
	c := accountPage{Organization: who.Organization, User: who.User, Role: who.Role}
	for _, session := range sessions {
		row := sessionRow{session, session.ID() == current}
		if !row.Current {
			c.Others++
		}
		c.Sessions = append(c.Sessions, row)
	}
	return u.show(w, "account", u.frame(w, r, who, "Account", accountPath, c))
}

func (u *ui) endSession(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := u.api.EndSession(r, who, r.PathValue("id")); err != nil {
		return err
	}
	return seeOther(w, r, accountPath, "That browser is signed out.")
}

func (u *ui) endOtherSessions(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	ended, err := u.api.EndOtherSessions(r, who)
	if err != nil {
		return err
	}
	message := "You were not signed in anywhere else."
	if ended == 1 {
		message = "The other browser is signed out."
	} else if ended > 1 {
		message = strconv.Itoa(ended) + " other browsers are signed out."
	}
	return seeOther(w, r, accountPath, message)
}
