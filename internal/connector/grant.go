package connector

import (
	"time"

	"perdure/internal/secret"
)

// A Grant is an authorization that a person gave for a connector.
type Grant struct {
	Organization string
	Connector    string
	User         string // whose it is; empty: everybody's, see [Settings.SharesGrant]
	State        GrantState
	// Content is the grant itself, with its tokens, in a form that only its maker reads.
	Content secret.String
	// AuthorizedBy is who gave it.
	AuthorizedBy string
	Created      time.Time
	Updated      time.Time
	Version      int64 // grows with each change
}

// A Client is what an authorization server knows us as, after we registered with it. It serves all connectors of an organization that
// meet the same server: a new one for each attempt would leave hundreds behind there.
type Client struct {
	Organization string
	Issuer       string
	RedirectURI  string
	Content      secret.String // see [Grant.Content]
	Created      time.Time
	Updated      time.Time
	Version      int64 // 0: not stored yet
}

// An Authorization is one that a browser is under way for.
type Authorization struct {
	StateHash    string // of the state in the browser's URL
	Organization string
	Connector    string
	User         string // whose grant it will be; empty: everybody's
	By           string // who authorizes
	Browser      string // a hash that binds it to the browser's session
	Content      secret.String
	Expires      time.Time
}
