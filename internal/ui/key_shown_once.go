package ui

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/secret"
)

// A new key is made by a form and shown by the page that the form leads to, once. Between the two the browser carries it, sealed, in a
// cookie of that page alone, which the page takes away: any process can show the key, none keeps it, and it is in no address, no cache
// and no history.

const (
	newKeyCookie = "perdure_new_key"
	// newKeyFor is how long the page may take to be opened.
	newKeyFor = 2 * time.Minute
)

// keyShownCookie is there while the page with the key is the one before. Browsers keep that one as it was for the way back, although it
// says no-store, until a cookie of it changes: so the next page takes this one away. A script empties the key, too, when people go
// elsewhere (app.js, data-forget).
const keyShownCookie = "perdure_key_shown"

// forgetShownKey has the browser forget the page with the key, if that was the last one.
func forgetShownKey(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie(keyShownCookie); err == nil {
		http.SetCookie(w, page.Cookie(r, keyShownCookie, "", "/", -1))
	}
}

// carriedKey is what the cookie holds.
type carriedKey struct {
	ID    string    `json:"id"`
	Key   string    `json:"key"`
	Until time.Time `json:"until"`
}

func newKeyBinding(who identity.Principal) secret.Binding {
	return secret.Binding{Purpose: "new API key", Organization: who.Organization, User: who.User}
}

func newKeyPath(id string) string { return keysPath + "/" + id + "/created" }

// keepNewKey has the browser carry a key to the page that shows it.
func (u *ui) keepNewKey(w http.ResponseWriter, r *http.Request, who identity.Principal, id string, key secret.String) error {
	text, err := json.Marshal(carriedKey{id, key.Reveal(), time.Now().Add(newKeyFor)})
	if err != nil {
		return err
	}
	sealed, err := u.api.Sealer.Seal(text, newKeyBinding(who))
	if err != nil {
		return err
	}
	http.SetCookie(w, page.Cookie(r, newKeyCookie, base64.RawURLEncoding.EncodeToString(sealed), newKeyPath(id), int(newKeyFor.Seconds())))
	return nil
}

// takeNewKey returns the key that the browser carries, and takes it away; empty: it carries none.
func (u *ui) takeNewKey(w http.ResponseWriter, r *http.Request, who identity.Principal, id string) string {
	cookie, err := r.Cookie(newKeyCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(w, page.Cookie(r, newKeyCookie, "", newKeyPath(id), -1))
	http.SetCookie(w, page.Cookie(r, keyShownCookie, "1", "/", int(newKeyFor.Seconds())))
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return ""
	}
	text, err := u.api.Sealer.Open(sealed, newKeyBinding(who))
	var carried carriedKey
	if err != nil || json.Unmarshal(text, &carried) != nil || carried.ID != id || time.Now().After(carried.Until) {
		return ""
	}
	return carried.Key
}
