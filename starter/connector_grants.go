package starter

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"

	"perdure/internal/connection"
	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/internal/store"
)

type shownAuthorization struct {
	Object           string `json:"object"`
	Connector        string `json:"connector"`
	AuthorizationURL string `json:"authorization_url"`
}

// authorizeConnector answers with the address at which the caller authorizes in a browser. It is one of ours: only whoever is signed in
// there, and may authorize the connector, is sent on. An address of the authorization server itself could be given to somebody else, who
// would put their grant into the caller's connector.
func (s *Starter) authorizeConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := s.authorizable(r, who)
	if err != nil {
		return err
	}
	if s.SignIn.PublicURL == "" {
		return responses.Invalid("", "nobody can authorize here in a browser: the operator has to set http.public_url")
	}
	return s.writeValue(w, r, shownAuthorization{
		Object: "connector.authorization", Connector: c.ID,
		AuthorizationURL: s.SignIn.PublicURL + connection.AuthorizePath + "?" + url.Values{"connector": {c.ID}}.Encode(),
	})
}

// authorizable returns the connector of a request, if the caller may authorize it.
func (s *Starter) authorizable(r *http.Request, who identity.Principal) (connection.View, error) {
	v, err := s.seen(r, who)
	if err != nil {
		return v, err
	}
	if err := connector.May(who, v.Connector, connector.Authorize); err != nil {
		return v, err
	}
	if v.Settings.Auth.Type != connector.AuthOAuth {
		return v, responses.Invalid("auth.type", "is %s: there is nothing to authorize", v.Settings.Auth.Type)
	}
	return v, nil
}

// disconnectConnector ends the grant that the caller works with, here and, as far as it can be reached, at the authorization server.
func (s *Starter) disconnectConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	v, err := s.authorizable(r, who)
	if err != nil {
		return err
	}
	if v, err = s.Connections.Disconnect(r.Context(), caller(r, who), v.ID); err != nil {
		return err
	}
	return s.writeValue(w, r, showConnector(v))
}

// beginAuthorization sends a signed-in browser off to the authorization server.
func (s *Starter) beginAuthorization(w http.ResponseWriter, r *http.Request) error {
	who, browser, ok, err := s.inBrowser(r)
	if err != nil {
		return err
	}
	if !ok {
		http.Redirect(w, r, signInPath+"?"+url.Values{"return": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		return nil
	}
	r.SetPathValue("id", r.URL.Query().Get("connector"))
	c, err := s.authorizable(r, who)
	if err != nil {
		return err
	}
	address, err := s.Connections.Begin(r.Context(), caller(r, who), c.ID, browser)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// inBrowser returns who is signed in, and the hash that binds an authorization to the session.
func (s *Starter) inBrowser(r *http.Request) (who identity.Principal, browser string, ok bool, err error) {
	token, ok := sessionToken(r)
	if !ok {
		return who, "", false, nil
	}
	who, ok, err = s.callers.ofSession(r.Context(), token)
	hash := identity.HashKey("authorization\x00" + token)
	return who, hex.EncodeToString(hash[:]), ok, err
}

// oauthCallback is where authorization servers send browsers back to.
func (s *Starter) oauthCallback(w http.ResponseWriter, r *http.Request) error {
	who, browser, ok, err := s.inBrowser(r)
	if err != nil {
		return err
	}
	if !ok {
		return oauth.UnknownState()
	}
	id, err := s.Connections.Complete(r.Context(), caller(r, who), browser, r.URL.Query())
	if err != nil {
		return err
	}
	v, err := s.Connections.Get(r.Context(), caller(r, who), id)
	if err != nil {
		return err
	}
	if s.Pages != nil {
		s.backToConnectors(w, r, v)
		return nil
	}
	n := notice{Title: "Connected", Text: v.Settings.Name + " is authorized. You can close this page."}
	if v.Status.State == connector.Failed {
		n.Title, n.Remedy, n.Stage = "Authorized", sentence(v.Status.Message), v.Status.Stage
	}
	return s.showPage(w, r, http.StatusOK, n)
}

// backToConnectors sends a person to the page where they began, and tells them what has come of it.
func (s *Starter) backToConnectors(w http.ResponseWriter, r *http.Request, v connection.View) {
	f := page.Flash{Text: v.Settings.Name + " is authorized and connected."}
	if v.Status.State != connector.Connected {
		f = page.Flash{Text: v.Settings.Name + " is authorized, but cannot be used yet. " + sentence(v.Status.Message), Failed: true}
		if v.Status.Stage != "" {
			f.Text += " Stage: " + v.Status.Stage + "."
		}
	}
	if s.secureCookies(r) {
		r = page.BehindHTTPS(r)
	}
	page.SetFlash(w, r, f)
	http.Redirect(w, r, connection.PagePath, http.StatusSeeOther)
}

const authorizationFailed = "Authorization failed"

// paged is handle for browsers: errors meet a person there.
func (s *Starter) paged(title string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		err := h(w, r)
		if err == nil {
			return nil
		}
		return s.showFailure(w, r, title, err)
	})
}

// showFailure tells a person in a browser what the API would tell a program.
func (s *Starter) showFailure(w http.ResponseWriter, r *http.Request, title string, err error) error {
	n := notice{Title: title}
	var refused *oauth.Error
	var failed *mcpclient.Error
	switch {
	case errors.As(err, &refused):
		n.Text, n.Remedy, n.Stage = sentence(refused.Message), sentence(refused.Remedy), string(refused.Stage)
	case errors.As(err, &failed):
		n.Text, n.Remedy, n.Stage = sentence(failed.Message), sentence(failed.Remedy), string(failed.Stage)
	}
	shown := s.shown(w, r, err)
	if n.Text == "" {
		n.Text = sentence(shown.Message)
	}
	if s.Pages != nil && title == authorizationFailed {
		n.Link, n.LinkText = connection.PagePath, "Back to the connectors"
	}
	return s.showPage(w, r, shown.Status, n)
}

// clientMetadata serves our client-metadata document, which is our client ID where authorization servers take one.
func (s *Starter) clientMetadata(w http.ResponseWriter, r *http.Request) error {
	body, err := s.Connections.OAuth.Metadata()
	if err != nil {
		return err
	}
	if body == nil {
		return store.ErrNotFound
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	s.writeJSON(w, r, http.StatusOK, body)
	return nil
}
