package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/starter"
)

// newConnector shows the form of a new connector.
func (u *ui) newConnector(s section) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		if err := u.api.Connections.MayAdd(r.Context(), u.api.Caller(r, who), s.Scope); err != nil {
			return err
		}
		f := u.emptyForm(s)
		f.Settings.Transport, f.Settings.Network, f.Settings.Auth.Type = connector.StreamableHTTP, connector.NetworkNone, connector.AuthOAuth
		f.Settings.Auth.OAuth.Grants = connector.GrantShared
		return u.showForm(w, r, who, http.StatusOK, f)
	}
}

func (u *ui) emptyForm(s section) connectorForm {
	return connectorForm{section: s, Redirect: u.api.Connections.OAuth.RedirectURI(), Settings: connector.Settings{Scope: s.Scope}}
}

// formOf is the form of a connector that is there.
func (u *ui) formOf(s section, v connection.View) connectorForm {
	f := u.emptyForm(s)
	f.ID, f.Settings, f.stored, f.Icon, f.Version = v.ID, v.Settings, v.Stored, iconPath(v.Connector), v.Version
	f.offer(v.Probe, len(v.Settings.AllowedTools) > 0)
	return f
}

// showForm shows a form as a page, or as what a dialog holds.
func (u *ui) showForm(w http.ResponseWriter, r *http.Request, who identity.Principal, status int, f connectorForm) error {
	if isPart(r) {
		part := "sheet"
		if r.Method == http.MethodPost {
			part = "connector-form"
		}
		return u.showPart(w, "connector_edit", part, f)
	}
	return u.showStatus(w, status, "connector_edit", u.connectorsFrame(w, r, who, f.Title(), f.section, f))
}

// createConnector adds a connector. That its server cannot be used keeps it from nothing: the list says what is the matter.
func (u *ui) createConnector(s section) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		by := u.api.Caller(r, who)
		// Before anything is read: who may not add any has no reason to send a form.
		if err := u.api.Connections.MayAdd(r.Context(), by, s.Scope); err != nil {
			return err
		}
		values, icon, err := readUpload(w, r)
		if err != nil {
			return err
		}
		f := u.emptyForm(s)
		draft := draftOf(values, f.Settings, icon)
		v, err := u.api.Connections.Create(r.Context(), by, draft)
		if wrong := asInvalid(err); wrong != nil {
			f.Settings = draft.Settings
			f.refuse(wrong)
			return u.showForm(w, r, who, http.StatusUnprocessableEntity, f)
		}
		if err != nil {
			return err
		}
		return done(w, r, s.Path, s.card(v).told("added"))
	}
}

// told says what has become of a connector, for the next page.
func (c connectorCard) told(what string) page.Flash {
	f := page.Flash{Text: c.Settings.Name + " was " + what + "."}
	switch {
	case c.Restricted != nil:
	case c.Status.State == connector.Failed:
		f.Text, f.Failed = c.Settings.Name+" was "+what+", but it cannot be used yet. "+c.Message+" Reconfigure it.", true
	case c.needsAuthorization():
		f.Text += " Click its card to authorize it."
	case !c.Enabled && c.may(connector.Enable):
		f.Text += " Click its card to enable it."
	}
	return f
}

func (u *ui) editConnector(s section) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		v, err := u.editable(r, who)
		if err != nil {
			return err
		}
		return u.showForm(w, r, who, http.StatusOK, u.formOf(s, v))
	}
}

// editable returns the connector of a request, if the person may change it.
func (u *ui) editable(r *http.Request, who identity.Principal) (connection.View, error) {
	v, err := u.api.Connections.Get(r.Context(), u.api.Caller(r, who), r.PathValue("id"))
	if err != nil {
		return v, err
	}
	return v, connector.May(who, v.Connector, connector.Edit)
}

// updateConnector changes a connector. What the form has no field for stays.
func (u *ui) updateConnector(s section) starter.PageHandler {
	return func(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
		v, err := u.editable(r, who)
		if err != nil {
			return err
		}
		values, icon, err := readUpload(w, r)
		if err != nil {
			return err
		}
		if seen := values.Get("version"); seen != "" && seen != strconv.FormatInt(v.Version, 10) {
			f := u.formOf(s, v) // of the version that it has now
			f.Settings = draftOf(values, v.Settings, icon).Settings
			f.offer(v.Probe, values.Get("tools") == someTools)
			f.Problems = []problem{{Text: "It was changed meanwhile. What you entered is below, but for secrets and the icon: " +
				"to save it replaces what others have entered. To see that first, open the connector in another tab."}}
			return u.showForm(w, r, who, http.StatusConflict, f)
		}
		draft := draftOf(values, v.Settings, icon)
		changed, err := u.changeConnector(r.Context(), u.api.Caller(r, who), v, draft, values)
		if wrong := asInvalid(err); wrong != nil {
			f := u.formOf(s, v)
			f.Settings = draft.Settings
			f.offer(v.Probe, values.Get("tools") == someTools)
			f.refuse(wrong)
			return u.showForm(w, r, who, http.StatusUnprocessableEntity, f)
		}
		if err != nil {
			return err
		}
		return done(w, r, s.Path, s.card(changed).told("saved"))
	}
}

// changeConnector makes the change that a form wants.
func (u *ui) changeConnector(ctx context.Context, by connection.Caller, v connection.View, d connection.Draft, form url.Values) (connection.View, error) {
	if form.Get("tools") == someTools && len(d.Settings.AllowedTools) == 0 {
		return v, connector.Invalid{{Param: "allowed_tools", Message: "is empty: choose some, or offer all"}}
	}
	changed, err := u.api.Connections.Update(ctx, by, v.ID, d)
	if denied := asDenied(err); denied != nil {
		// To edit is allowed, but not to lead the connector to another server.
		return v, connector.Invalid{{Param: "url", Message: "cannot be changed to another server: " + denied.Reason}}
	}
	if err == nil && len(d.Icon) == 0 && form.Has("icon.remove") && v.Icon != "" {
		return u.api.Connections.SetIcon(ctx, by, v.ID, nil)
	}
	return changed, err
}

func asInvalid(err error) connector.Invalid {
	var invalid connector.Invalid
	if errors.As(err, &invalid) {
		return invalid
	}
	return nil
}

func asDenied(err error) *connector.Denied {
	var denied *connector.Denied
	if errors.As(err, &denied) {
		return denied
	}
	return nil
}

// done sends the browser on after a form, which a script of ours or the browser itself has sent.
func done(w http.ResponseWriter, r *http.Request, path string, f page.Flash) error {
	page.SetFlash(w, r, f)
	if isPart(r) {
		w.Header().Set("HX-Redirect", path)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
