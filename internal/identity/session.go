package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"perdure/internal/secret"
)

// SessionFor is how long a sign-in lasts.
const SessionFor = 12 * time.Hour

// Session is a browser that is signed in. What is kept of its token is a hash.
type Session struct {
	Hash         KeyHash
	Organization string
	User         string
	Created      time.Time
	Expires      time.Time
}

// NewSession signs a user in. The token is the browser's alone.
func NewSession(organization, user string, now time.Time) (Session, secret.String) {
	token := sessionPrefix + rand.Text() + rand.Text()
	return Session{Hash: HashKey(token), Organization: organization, User: user, Created: now, Expires: now.Add(SessionFor)}, secret.New(token)
}

// ID names the session among those of its user. It says nothing of the token, nor of the hash by which the token is known.
func (s Session) ID() string {
	sum := sha256.Sum256(append([]byte("session ID\x00"), s.Hash[:]...))
	return hex.EncodeToString(sum[:12])
}

// sessionKey is the key in the principal of a session: limits by key then count a user's browsers together.
const sessionKey = "session:"

// IsSession reports whether the key of a [Principal] stands for a user's sessions.
func IsSession(key string) bool { return strings.HasPrefix(key, sessionKey) }

// CheckKey reports what is wrong with the key of a [Principal]: that is the name of an API key, or stands for a user's sessions.
func CheckKey(key string) error { return CheckName(strings.TrimPrefix(key, sessionKey)) }

// Principal is who is signed in.
func (s Session) Principal(role Role) Principal {
	return Principal{Organization: s.Organization, User: s.User, Key: sessionKey + s.User, Role: role, Stored: true, Scopes: AllScopes}
}
