package connector

import "time"

// State is how things stand between us and the server.
type State string

// The states. They are stored: they never change.
const (
	Pending     State = "pending"      // not connected yet
	Connected   State = "connected"    // the last probe succeeded
	Failed      State = "error"        // the last probe failed; the message says at which stage
	NeedsAuth   State = "needs_auth"   // nobody has authorized it
	NeedsReauth State = "needs_reauth" // the authorization was good and is not any more
)

// Status is the state with words for people.
type Status struct {
	State State `json:"state"`
	// Stage is where it failed: dns, tls, connect, status, auth, protocol, list.
	Stage string `json:"stage,omitempty"`
	// Message says what is the matter and what to do. It never holds a secret, a URL's query or what a server sent.
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at,omitzero"`
	// OfGrant says that what failed is the authorization of whoever looked: of others it says nothing.
	OfGrant bool `json:"of_grant,omitempty"`
}

// A Tag is a status in a word or two, as pages show it.
type Tag string

// The tags, in the order in which they take precedence.
const (
	TagRestricted  Tag = "Restricted"
	TagDisabled    Tag = "Disabled"
	TagNeedsReauth Tag = "Authorize again"
	TagNeedsAuth   Tag = "Authorize"
	TagError       Tag = "Error"
	TagPending     Tag = "Not connected"
	TagChanged     Tag = "Tools changed"
	TagConnected   Tag = "Connected"
)

// GrantState is what a caller's grant says, for connectors with OAuth.
type GrantState string

// The states of a grant. The empty one is that of a connector that needs none. They are stored: they never change.
const (
	GrantMissing GrantState = "missing"
	GrantActive  GrantState = "active"
	GrantDead    GrantState = "needs_reauth"
)

// Shown returns how things stand for a caller with the given grant: a connector that works for others may lack their authorization. A
// grant that is there is no proof that the server takes it, so it hides no failure; nor does one that is missing, unless a grant is what
// failed.
func (c Connector) Shown(grant GrantState) (Tag, Status) {
	status := c.Status
	if c.Settings.Auth.Type == AuthOAuth {
		switch grant {
		case GrantMissing, "":
			// Where the server cannot be reached, or something before it does not let us in, an authorization would not help.
			if status.State != Failed || status.OfGrant {
				status = Status{State: NeedsAuth, Stage: "auth", Message: "needs authorization: authorize it", At: c.Status.At}
			}
		case GrantDead:
			status = Status{State: NeedsReauth, Stage: "auth", Message: "its authorization has ended: authorize it again", At: c.Status.At}
		case GrantActive:
			// What an earlier caller lacked says nothing of this one.
			if status.State == NeedsAuth || status.State == NeedsReauth {
				status = Status{State: Pending, Message: "is authorized and has not been connected since", At: c.Status.At}
			}
		}
	}
	if c.Restricted != nil {
		status.Message = "an admin has restricted it"
		if c.Restricted.Reason != "" {
			status.Message += ": " + c.Restricted.Reason
		}
		return TagRestricted, status
	}
	if !c.Enabled {
		return TagDisabled, status
	}
	switch status.State {
	case NeedsReauth:
		return TagNeedsReauth, status
	case NeedsAuth:
		return TagNeedsAuth, status
	case Failed:
		return TagError, status
	case Connected:
		if len(c.Probe.Drift()) > 0 {
			return TagChanged, status
		}
		return TagConnected, status
	default:
		return TagPending, status
	}
}
