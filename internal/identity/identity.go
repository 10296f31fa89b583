// Package identity says who a caller is: organizations, their members, API keys, sign-in sessions, and the [Principal] that each
// request is made by. It knows neither SQL nor HTTP; keys and sessions of the database are kept by internal/store, keys of the
// configuration by a [Keyring].
package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Principal is an authenticated caller. Everything that a caller owns is scoped to its organization and user.
type Principal struct {
	Organization string
	User         string
	// Key is the name of the API key, or stands for the sessions of the user. No other of the organization has it.
	Key    string
	Limits Limits
	Role   Role
	// Stored is set if the database has the key or the session, and so had the user as a member.
	Stored bool
	// Scopes are what the key, or the session, is good for. Without any it is good for nothing.
	Scopes Scopes
}

// Account is what limits are counted by: the key within its organization. Two organizations may have members, and so sessions, of one name.
func (p Principal) Account() string { return p.Organization + "\x00" + p.Key }

// Limits are what a caller may use. What is 0 has no limit.
type Limits struct {
	RequestsPerMinute int
	RequestBurst      int // of them at once
	ConcurrentRuns    int
}

// KeyHash is the SHA-256 of an API key. Keys are random and long, so a fast hash is enough to keep them unreadable.
type KeyHash [sha256.Size]byte

// HashKey returns the hash under which a key is known.
func HashKey(key string) KeyHash { return sha256.Sum256([]byte(key)) }

// ParseKeyHash reads 64 hexadecimal digits.
func ParseKeyHash(s string) (KeyHash, error) {
	var h KeyHash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, errors.New("must be 64 hexadecimal digits, the SHA-256 of the key")
	}
	copy(h[:], b)
	return h, nil
}

// Keyring knows the API keys of a deployment. It is safe for concurrent use.
type Keyring struct {
	keys map[KeyHash]Principal
}

// NewKeyring returns a keyring of the given keys. Its error names all keys that lack something.
func NewKeyring(keys map[KeyHash]Principal) (*Keyring, error) {
	var names []string
	for _, p := range keys {
		if p.Organization == "" || p.User == "" {
			names = append(names, strconv.Quote(p.Key))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		return nil, fmt.Errorf("identity: no organization or no user for API key %s", strings.Join(names, ", "))
	}
	if p, ok := keys[HashKey("")]; ok {
		return nil, fmt.Errorf("identity: API key %q is empty", p.Key)
	}
	return &Keyring{keys: maps.Clone(keys)}, nil
}

// Authenticate returns whom a key belongs to. It looks the key's hash up, so its time says nothing about the keys themselves.
func (k *Keyring) Authenticate(key string) (Principal, bool) {
	p, ok := k.keys[HashKey(key)]
	return p, ok
}
