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
