package identity

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"perdure/internal/secret"
)

// Prefixes of what a person may find somewhere and wonder about; scanners for leaked secrets look for such.
const (
	keyPrefix     = "pd_"
	sessionPrefix = "pds_"
	keyIDPrefix   = "key_"
)

// shownOfKey is how much of a key is kept in clear, for people to tell theirs apart: 35 of 260 random bits.
const shownOfKey = len(keyPrefix) + 7

// APIKey is what is kept of an API key. The key itself is not.
type APIKey struct {
	ID           string // key_…
	Organization string
	User         string
	Name         string // what its owner calls it
	Prefix       string // the beginning of the key
	Hash         KeyHash
	Scopes       Scopes
	Created      time.Time
	Expires      time.Time // zero: never
	Revoked      time.Time // zero: it is not
	LastUsed     time.Time // zero: never; it may lag by a minute
}

// NewKey makes an API key for a user. The key itself is shown once and then gone.
func NewKey(organization, user, name string, scopes Scopes, now, expires time.Time) (APIKey, secret.String, error) {
	if err := CheckName(name); err != nil {
		return APIKey{}, secret.String{}, fmt.Errorf("name: %w", err)
	}
	if scopes == 0 {
		return APIKey{}, secret.String{}, fmt.Errorf("scopes: a key without any is good for nothing: give some of %s", AllScopes)
	}
	if !expires.IsZero() && !expires.After(now) {
		return APIKey{}, secret.String{}, errors.New("expires: is over already")
	}
	text := keyPrefix + rand.Text() + rand.Text()
	return APIKey{
		ID: keyIDPrefix + rand.Text(), Organization: organization, User: user, Name: name, Prefix: text[:shownOfKey], Hash: HashKey(text),
		Scopes: scopes, Created: now, Expires: expires,
	}, secret.New(text), nil
}

// Usable reports whether the key still lets somebody in.
func (k APIKey) Usable(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// Principal is whom the key of a member belongs to.
func (k APIKey) Principal(role Role) Principal {
	return Principal{Organization: k.Organization, User: k.User, Key: k.ID, Role: k.Scopes.limit(role), Stored: true, Scopes: k.Scopes}
}

// limit is the role that is left to a key.
func (s Scopes) limit(role Role) Role {
	if role == Admin && !s.Has(ScopeAdmin) {
		return Member
	}
	return role
}
