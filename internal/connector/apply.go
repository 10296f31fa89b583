package connector

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"perdure/internal/identity"
)

var errCloudflareHeader = errors.New("belongs to Cloudflare Access: set network.type to cloudflare_access and enter both values there")

// A Change is what is to be stored of a change of settings.
type Change struct {
	Connector Connector
	// Given are secrets to store, in the place of what is stored under their names.
	Given Secrets
	// Dropped are stored secrets to delete.
	Dropped []SecretName
	// Regrant says that authorizations made for the connector are to be deleted: they were for another server, or are of another kind.
	Regrant bool
}

// New returns a connector of the settings, made by a person. It is not shared, not enabled and not probed yet. The error is an [Invalid].
// Whether the person may make it is [MayCreate]'s to say.
func New(by identity.Principal, s Settings, given Secrets, checks Checks, now time.Time) (Change, error) {
	s, given = s.normalize(), given.canonical()
	if err := checks.validate(s, given, nil).err(); err != nil {
		return Change{}, err
	}
	c := Connector{
		ID: NewID(), Organization: by.Organization, Owner: by.User, Settings: s, Stored: given.sorted(),
		Status: Status{State: Pending, Message: "has not been connected yet", At: now}, Created: now, Updated: now, Version: 1,
	}
	return Change{Connector: c, Given: given}, nil
}

// Apply returns the connector with other settings. A secret that is not given stays what it was, unless the settings have no use for it
// any more, or send it to another place: who may edit a connector of others could otherwise have their credentials sent to a server of
// their own. Then it has to be entered again, and authorizations have to be made again. The error is an [Invalid].
func (c Connector) Apply(s Settings, given Secrets, checks Checks, now time.Time) (Change, error) {
	s, given = s.normalize(), given.canonical()
	var kept []SecretName
	for _, name := range c.Stored {
		if slices.Contains(s.names(), name) && sameDestination(name, c.Settings, s) {
			kept = append(kept, name)
		}
	}
	v := checks.validate(s, given, kept)
	if s.Scope != c.Settings.Scope {
		v.report("scope", "cannot be changed: make another connector")
	}
	for i, p := range v {
		if name := SecretName(p.Param); slices.Contains(c.Stored, name) && !slices.Contains(kept, name) && given[name].IsZero() {
			v[i].Message = "has to be entered again, because it would now be sent to another place"
		}
	}
	if err := v.err(); err != nil {
		return Change{}, err
	}
	change := Change{Connector: c, Given: given, Regrant: !sameGrants(c.Settings, s)}
	stored := given.sorted()
	for _, name := range c.Stored {
		if _, ok := given[name]; ok {
			continue
		}
		if slices.Contains(kept, name) {
			stored = append(stored, name)
		} else {
			change.Dropped = append(change.Dropped, name)
		}
	}
	slices.Sort(stored)
	change.Connector.Settings, change.Connector.Stored, change.Connector.Updated = s, stored, now
	change.Connector.Status = Status{State: Pending, Message: "was changed and has not been connected since", At: now}
	if !sameOrigin(c.Settings.URL, s.URL) {
		change.Connector.Probe = Probe{} // what was reviewed was another server
	}
	return change, nil
}

// sameDestination reports whether a stored secret goes where it went before.
func sameDestination(name SecretName, before, after Settings) bool {
	if name == ClientSecret {
		// Where discovery leads is up to the server.
		return sameOrigin(before.URL, after.URL) && sameClient(before.Auth.OAuth, after.Auth.OAuth)
	}
	return sameOrigin(before.URL, after.URL)
}

// sameClient reports whether both name the same client, at the same authorization server.
func sameClient(a, b OAuth) bool {
	return a.ClientID == b.ClientID && a.Issuer == b.Issuer && a.Endpoints == b.Endpoints
}

// sameGrants reports whether authorizations made before still hold.
func sameGrants(before, after Settings) bool {
	a, b := before.Auth.OAuth, after.Auth.OAuth
	return before.Auth.Type == after.Auth.Type && sameOrigin(before.URL, after.URL) && sameClient(a, b) &&
		a.Grants == b.Grants && a.Resource == b.Resource && a.OmitResource == b.OmitResource && slices.Equal(a.Scopes, b.Scopes)
}

// sameOrigin takes URLs that have been checked.
func sameOrigin(a, b string) bool { return originOf(a) == originOf(b) }

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + port
}
