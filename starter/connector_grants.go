package starter

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/oauth"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// authorizePath is where a browser begins an authorization. Only whoever is signed in there can: a link that went straight to the
// authorization server would let somebody have another's grant put into a connector of their own.
const authorizePath = "/rest/connections/authorize"

// probeConnector looks at the server now. That the look failed is no failure of the request: the status says at which stage, and what to do.
func (s *Starter) probeConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := s.seen(r, who)
	if err != nil {
		return err
	}
	if c, err = s.Connections.Probe(r.Context(), who, actor(r, who), c.ID); err != nil {
		return err
	}
	return s.answerConnector(w, r, who, c)
}

type shownAuthorization struct {
	Object           string `json:"object"`
	Connector        string `json:"connector"`
	AuthorizationURL string `json:"authorization_url"`
}

// authorizeConnector answers with the address at which the caller authorizes in a browser.
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
		AuthorizationURL: s.SignIn.PublicURL + authorizePath + "?" + url.Values{"connector": {c.ID}}.Encode(),
	})
}

// authorizable returns the connector of a request, if the caller may authorize it.
func (s *Starter) authorizable(r *http.Request, who identity.Principal) (connector.Connector, error) {
	c, err := s.seen(r, who)
	if err != nil {
		return c, err
	}
	if err := connector.May(who, c, connector.Authorize); err != nil {
		return c, err
	}
	if c.Settings.Auth.Type != connector.AuthOAuth {
		return c, responses.Invalid("auth.type", "is %s: there is nothing to authorize", c.Settings.Auth.Type)
	}
	return c, nil
}

type shownDisconnection struct {
	shownConnector
	// Warning says what could not be done at the authorization server. The grant is forgotten here all the same.
	Warning *string `json:"warning"`
}

// disconnectConnector ends the grant that the caller works with, here and at the authorization server.
func (s *Starter) disconnectConnector(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c, err := s.authorizable(r, who)
	if err != nil {
		return err
	}
	warning, err := s.Connections.Disconnect(r.Context(), who, actor(r, who), c.ID)
	if err != nil {
		return err
	}
	if c, err = s.Store.Connector(r.Context(), who.Organization, c.ID); err != nil {
		return err
	}
	shown := shownDisconnection{shownConnector: showConnector(who, c, connector.GrantMissing)}
	if warning != "" {
		shown.Warning = &warning
	}
	return s.writeValue(w, r, shown)
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
		return s.showFailure(w, r, "Authorization failed", err)
	}
	address, err := s.Connections.Begin(r.Context(), who, c.ID, browser)
	if err != nil {
		return s.showFailure(w, r, "Authorization failed", err)
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
	const failed = "Authorization failed"
	who, browser, ok, err := s.inBrowser(r)
	if err != nil {
		return err
	}
	if !ok {
		return s.showFailure(w, r, failed, oauth.UnknownState())
	}
	c, err := s.Connections.Complete(r.Context(), who, actor(r, who), browser, r.URL.Query())
	if err != nil {
		return s.showFailure(w, r, failed, err)
	}
	_, status := c.Shown(connector.GrantActive)
	n := notice{Title: "Connected", Text: c.Settings.Name + " is authorized. You can close this page."}
	if status.State == connector.Failed {
		n.Title, n.Remedy, n.Stage = "Authorized", sentence(status.Message), status.Stage
	}
	return s.showPage(w, r, http.StatusOK, n)
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
	return s.showPage(w, r, shown.Status, n)
}

// clientMetadata serves our client-metadata document, which is our client ID where authorization servers take one.
func (s *Starter) clientMetadata(w http.ResponseWriter, r *http.Request) error {
	body, err := s.Connections.ClientMetadata()
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
