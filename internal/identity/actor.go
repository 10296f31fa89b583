package identity

import "time"

// Actor is who changes something, for the audit log.
type Actor struct {
	Organization string
	User         string
	Key          string // the API key, the session, or [ByOperator]
	Address      string // from where: an IP address; empty on the machine itself
}

// ByOperator is the key of an [Actor] at the command line, who needs none.
const ByOperator = "operator"

// Operator acts on the machine itself, for an organization.
func Operator(organization string) Actor {
	return Actor{Organization: organization, User: ByOperator, Key: ByOperator}
}

// Acts is the principal as an actor.
func (p Principal) Acts(address string) Actor {
	return Actor{Organization: p.Organization, User: p.User, Key: p.Key, Address: address}
}

// Event is a line of the audit log: who did what, when, from where. It holds no secret.
type Event struct {
	ID     string
	At     time.Time
	Actor  Actor
	Action string            // such as "connector.create"
	Target string            // the ID of what it was done to
	Detail map[string]string // what a reader would want to know besides
}
