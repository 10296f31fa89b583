package ui

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
	"perdure/starter"
)

const keysPath = "/settings/keys"

// keysPage lists API keys.
type keysPage struct {
	Admin bool // they may see those of all
	All   bool // they do
	Keys  []keyRow
	// Organization and Me are who looks.
	Organization, Me string
	Next             string // the address of the next page; empty: there is none
}

// keyRow is a key in the list.
type keyRow struct {
	identity.APIKey
	Mine bool
	// State is "active", "revoked" or "expired".
	State string
}

func (u *ui) keys(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	c := keysPage{
		Admin: who.Role == identity.Admin, All: who.Role == identity.Admin && r.URL.Query().Get("all") != "",
		Organization: who.Organization, Me: who.User,
	}
	user := who.User
	if c.All {
		user = ""
	}
	keys, next, err := u.api.APIKeys(r.Context(), who, user, store.Page{After: r.URL.Query().Get("page")})
	if err != nil {
		return err
	}
	for _, k := range keys {
		c.Keys = append(c.Keys, keyRow{k, k.User == who.User, keyState(k, time.Now())})
	}
	c.Next = nextPage(r, next)
	return u.show(w, "keys", u.frame(w, r, who, "API keys", keysPath, c))
}

func keyState(k identity.APIKey, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked"
	case !k.Usable(now):
		return "expired"
	default:
		return "active"
	}
}

// nextPage is the address of the next page of the list at an address.
func nextPage(r *http.Request, cursor string) string {
	if cursor == "" {
		return ""
	}
	query := r.URL.Query()
	query.Set("page", cursor)
	return r.URL.Path + "?" + query.Encode()
}

// keyForm is the form of a new key.
type keyForm struct {
	Name, User, Expiry string
	Scopes             identity.Scopes
	Admin              bool // they may make keys for others
	Members            []identity.User
	Problem            *responses.Error
}

// scopeChoice is a scope with what it is for.
type scopeChoice struct{ Name, Text string }

// ScopeChoices are in the order in which people need them.
func (keyForm) ScopeChoices() []scopeChoice {
	return []scopeChoice{
		{"responses", "Create runs and read them: what an SDK or a batch job needs"},
		{"connectors", "Look at saved connectors and change them. Runs use connectors without it"},
		{"admin", "What your role allows: members, keys and the audit log. Only for programs that manage the organization"},
	}
}

// Has reports whether a scope is chosen.
func (f keyForm) Has(name string) bool {
	scope, err := identity.ParseScopes(name)
	return err == nil && f.Scopes.Has(scope)
}

// ProblemAt is what is wrong with a field.
func (f keyForm) ProblemAt(field string) string {
	if f.Problem == nil || f.Problem.Param != field {
		return ""
	}
	return f.Problem.Message
}

// expiries are the choices of how long a key lasts, in days; 0: for ever.
var expiries = map[string]int{"7": 7, "30": 30, "90": 90, "365": 365, "never": 0}

func (u *ui) newKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	return u.showKeyForm(w, r, who, http.StatusOK, keyForm{Expiry: "90", Scopes: identity.ScopeResponses})
}

func (u *ui) showKeyForm(w http.ResponseWriter, r *http.Request, who identity.Principal, status int, f keyForm) error {
	if f.Admin = who.Role == identity.Admin; f.Admin {
		var err error
		if f.Members, _, err = u.api.Members(r.Context(), who, store.Page{Limit: 200}); err != nil {
			return err
		}
	}
	return u.showStatus(w, status, "key_new", u.frame(w, r, who, "New API key", keysPath, f))
}

func (u *ui) createKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	f := keyForm{Name: strings.TrimSpace(form.Get("name")), User: strings.TrimSpace(form.Get("user")), Expiry: form.Get("expiry")}
	f.Scopes = chosenScopes(form["scopes"])
	given := starter.NewAPIKey{Name: f.Name, User: f.User, Scopes: f.Scopes}
	days, known := expiries[f.Expiry]
	if days > 0 {
		given.Expires = time.Now().AddDate(0, 0, days)
	}
	if !known {
		f.Expiry = "90"
		f.Problem = responses.Invalid("expires_at", "choose one of the list")
		return u.showKeyForm(w, r, who, f.Problem.Status, f)
	}
	key, text, err := u.api.CreateAPIKey(r, who, given)
	if shown, ok := refusal(err); ok {
		f.Problem = shown
		return u.showKeyForm(w, r, who, shown.Status, f)
	}
	if err != nil {
		return err
	}
	if err := u.keepNewKey(w, r, who, key.ID, text); err != nil {
		return err
	}
	return seeOther(w, r, keysPath+"/"+url.PathEscape(key.ID)+"/created", "")
}

// chosenScopes leaves out what is no scope: the form has none such.
func chosenScopes(names []string) (scopes identity.Scopes) {
	for _, name := range names {
		if s, err := identity.ParseScopes(name); err == nil {
			scopes |= s
		}
	}
	return scopes
}

// keyPage is about one key.
type keyPage struct {
	Key  identity.APIKey
	Mine bool
	// Text is the key itself, on the one page that shows it; empty: it has been shown.
	Text string
}

func (u *ui) createdKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	key, err := u.api.APIKey(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	f := u.frame(w, r, who, "Your new API key", keysPath, nil)
	f.Content = keyPage{Key: key, Mine: key.User == who.User, Text: u.takeNewKey(w, r, who, key.ID)}
	return u.show(w, "key_created", f)
}

func (u *ui) confirmRevoke(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	key, err := u.api.APIKey(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	return u.show(w, "key_revoke", u.frame(w, r, who, "Revoke API key", keysPath, keyPage{Key: key, Mine: key.User == who.User}))
}

func (u *ui) revokeKey(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	key, err := u.api.APIKey(r.Context(), who, r.PathValue("id"))
	if err == nil {
		err = u.api.RevokeAPIKey(r, who, key.ID)
	}
	if err != nil {
		return err
	}
	back := keysPath
	if key.User != who.User {
		back += "?all=1"
	}
	return seeOther(w, r, back, "The key "+key.Name+" is revoked. Nothing can use it any more.")
}
