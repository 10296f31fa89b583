package connector

import (
	"errors"

	"perdure/internal/identity"
)

// ErrHidden says that a caller is to learn nothing of a connector, not even that it is there.
var ErrHidden = errors.New("connector: there is no such connector")

// Denied says that a caller who knows of a connector may not do something. Its text is for the caller.
type Denied struct {
	Reason string
}

// Error returns the reason.
func (d *Denied) Error() string { return d.Reason }

func deny(reason string) error { return &Denied{Reason: reason} }

// Action is what a caller wants to do with a connector that is there.
type Action string

// The actions. Nothing reads a secret: there is no action for it.
const (
	See       Action = "see"
	Use       Action = "use"       // in a run
	Edit      Action = "edit"      // settings, secrets, icon
	Reprobe   Action = "probe"     // look at the server now
	Review    Action = "review"    // count the tools as seen
	Enable    Action = "enable"    // or disable
	Delete    Action = "delete"    //
	Share     Action = "share"     // with the organization, or take that back
	Restrict  Action = "restrict"  // or take that back
	Vet       Action = "vet"       // say that an admin has looked at it
	Authorize Action = "authorize" // or disconnect: the grant that the caller works with
)

// May returns nil if a caller may do something with a connector, [ErrHidden] if the caller is not to know of it, and a [Denied] otherwise.
func May(p identity.Principal, c Connector, action Action) error {
	if !Sees(p, c) {
		return ErrHidden
	}
	if c.Settings.Scope == Organization {
		return mayOrganization(p, c, action)
	}
	return mayIndividual(p, c, action)
}

// Sees reports whether a caller is to know of a connector. The store's lists ask the database the same.
func Sees(p identity.Principal, c Connector) bool {
	switch {
	case p.Organization != c.Organization:
		return false
	case p.Role == identity.Admin:
		return true
	case c.Settings.Scope == Organization:
		return c.Shared
	default:
		return p.User == c.Owner
	}
}

// mayIndividual decides about an individual connector that the caller sees: it is the caller's own, or the caller is an admin.
func mayIndividual(p identity.Principal, c Connector, action Action) error {
	own, admin := p.User == c.Owner, p.Role == identity.Admin
	switch action {
	case See:
		return nil
	case Use:
		if !own {
			return deny("the connector is private to the user who added it")
		}
		return usable(c)
	case Delete:
		return nil // its owner, or an admin who removes it
	case Restrict:
		if !admin {
			return deny("only admins restrict connectors")
		}
		return nil
	case Vet:
		if !admin {
			return deny("only admins vet connectors")
		}
		return nil
	case Share:
		return deny("an individual connector cannot be shared: an admin can add it as an organization connector")
	case Reprobe, Authorize:
		if own && c.Restricted != nil {
			return usable(c)
		}
	}
	if !own {
		return deny("users change only their own connectors; an admin can restrict or remove this one")
	}
	return nil
}

// mayOrganization decides about an organization connector that the caller sees: it is shared, or the caller is an admin.
func mayOrganization(p identity.Principal, c Connector, action Action) error {
	admin := p.Role == identity.Admin
	switch action {
	case See:
		return nil
	case Use:
		if !c.Shared && p.User != c.Owner {
			return deny("the connector is not shared with the organization yet: share it first")
		}
		return usable(c)
	case Authorize:
		if !c.Settings.SharesGrant() {
			if !c.Shared && p.User != c.Owner {
				return deny("the connector is not shared with the organization yet: share it first")
			}
			return nil
		}
		if !admin {
			return deny("an admin authorizes this connector for the whole organization: ask one")
		}
		return nil
	case Restrict:
		if admin {
			return deny("admins manage organization connectors: disable it, or do not share it")
		}
	case Vet:
		if admin {
			return deny("admins manage organization connectors: review its tools")
		}
	}
	if !admin {
		return deny("only admins manage organization connectors")
	}
	return nil
}

// usable reports what keeps even those from using a connector who otherwise may.
func usable(c Connector) error {
	switch {
	case c.Restricted != nil:
		return deny("an admin has restricted the connector: ask one")
	case !c.Enabled:
		return deny("the connector is disabled: enable it")
	default:
		return nil
	}
}

// MayCreate reports whether a caller may add a connector to the organization, which must be the caller's own.
func MayCreate(p identity.Principal, o identity.Organization, scope Scope) error {
	switch {
	case p.Organization != o.ID:
		return ErrHidden
	case p.Role == identity.Admin:
		return nil
	case scope == Organization:
		return deny("only admins add organization connectors")
	case !o.Settings.MembersMayAddConnectors:
		return deny("the organization does not let members add connectors: ask an admin to allow it")
	default:
		return nil
	}
}

// MayApply reports whether a caller may give a connector other settings. To point one at another server is to add that server: where
// members may not add any, they would otherwise keep an old connector for it.
func MayApply(p identity.Principal, o identity.Organization, c Connector, s Settings) error {
	if err := May(p, c, Edit); err != nil {
		return err
	}
	if sameOrigin(c.Settings.URL, s.normalize().URL) {
		return nil
	}
	return MayCreate(p, o, c.Settings.Scope)
}
