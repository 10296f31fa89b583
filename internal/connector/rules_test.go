package connector_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"perdure/internal/connector"
	"perdure/internal/identity"
)

var actions = []connector.Action{
	connector.See, connector.Use, connector.Edit, connector.Reprobe, connector.Review, connector.Enable, connector.Delete, connector.Share,
	connector.Restrict, connector.Vet, connector.Authorize,
}

func person(user string, role identity.Role) identity.Principal {
	return identity.Principal{Organization: "acme", User: user, Role: role}
}

// What each person may do with each connector. What is not listed is denied; nobody in the list is "hidden" unless it says so.
func TestMay(t *testing.T) {
	t.Parallel()
	stranger := identity.Principal{Organization: "umbrella", User: "ann", Role: identity.Admin}
	owner, other := person("ann", identity.Member), person("bob", identity.Member)
	admin, second := person("ada", identity.Admin), person("alan", identity.Admin)

	individual := connector.Connector{Organization: "acme", Owner: "ann", Enabled: true}
	individual.Settings.Scope = connector.Individual
	restricted := individual
	restricted.Restricted = &connector.Restriction{By: "ada", At: time.Unix(1, 0)}
	disabled := individual
	disabled.Enabled = false
	organization := connector.Connector{Organization: "acme", Owner: "ada", Enabled: true}
	organization.Settings.Scope = connector.Organization
	organization.Settings.Auth = connector.Auth{Type: connector.AuthOAuth, OAuth: connector.OAuth{Grants: connector.GrantShared}}
	shared := organization
	shared.Shared = true
	each := shared
	each.Settings.Auth.OAuth.Grants = connector.GrantEach
	eachUnshared := each
	eachUnshared.Shared = false
	off := shared
	off.Enabled = false

	const hidden = "hidden"
	for _, tt := range []struct {
		name string
		c    connector.Connector
		p    identity.Principal
		may  string
	}{
		{"individual, its owner", individual, owner, "see use edit probe review enable delete authorize"},
		{"individual, its owner who has become an admin", individual, person("ann", identity.Admin), "see use edit probe review enable delete restrict vet authorize"},
		{"individual, another member", individual, other, hidden},
		{"individual, an admin", individual, admin, "see delete restrict vet"},
		{"individual, the same user of another organization", individual, stranger, hidden},
		{"individual, nobody", individual, identity.Principal{}, hidden},
		{"individual, a caller without a role", individual, person("bob", ""), hidden},

		{"disabled, its owner", disabled, owner, "see edit probe review enable delete authorize"},
		{"restricted, its owner", restricted, owner, "see edit review enable delete"},
		{"restricted, another member", restricted, other, hidden},
		{"restricted, an admin", restricted, admin, "see delete restrict vet"},

		{"organization, not shared, who made it", organization, admin, "see use edit probe review enable delete share authorize"},
		{"organization, not shared, another admin", organization, second, "see edit probe review enable delete share authorize"},
		{"organization, not shared, a member", organization, other, hidden},
		{"organization, not shared, who made it and is no admin any more", organization, person("ada", identity.Member), hidden},
		{"organization, not shared, each authorizes, another admin", eachUnshared, second, "see edit probe review enable delete share"},

		{"shared, an admin", shared, second, "see use edit probe review enable delete share authorize"},
		{"shared, a member", shared, other, "see use"},
		{"shared, who made it and is no admin any more", shared, person("ada", identity.Member), "see use"},
		{"shared, an admin of another organization", shared, stranger, hidden},
		{"shared, each authorizes, a member", each, other, "see use authorize"},
		{"shared and disabled, a member", off, other, "see"},
		{"shared and disabled, an admin", off, admin, "see edit probe review enable delete share authorize"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			allowed := strings.Fields(tt.may)
			for _, action := range actions {
				err := connector.May(tt.p, tt.c, action)
				var denied *connector.Denied
				switch {
				case tt.may == hidden:
					if !errors.Is(err, connector.ErrHidden) {
						t.Errorf("%s: %v, want that it is hidden", action, err)
					}
				case slices.Contains(allowed, string(action)):
					if err != nil {
						t.Errorf("%s: %v", action, err)
					}
				case !errors.As(err, &denied):
					t.Errorf("%s: %v, want that it is denied", action, err)
				case denied.Reason == "":
					t.Errorf("%s: denied without a reason", action)
				}
			}
			if sees := connector.Sees(tt.p, tt.c); sees != (tt.may != hidden) {
				t.Errorf("Sees is %v", sees)
			}
		})
	}
}

func TestMayCreate(t *testing.T) {
	t.Parallel()
	closed := identity.Organization{ID: "acme"}
	open := identity.Organization{ID: "acme", Settings: identity.OrganizationSettings{MembersMayAddConnectors: true}}
	member, admin := person("ann", identity.Member), person("ada", identity.Admin)
	for _, tt := range []struct {
		name  string
		p     identity.Principal
		o     identity.Organization
		scope connector.Scope
		want  string // empty: allowed
	}{
		{"a member, as an organization begins", member, closed, connector.Individual, "does not let members add connectors"},
		{"a member, once it is allowed", member, open, connector.Individual, ""},
		{"a member for all", member, open, connector.Organization, "only admins"},
		{"no role", person("x", ""), closed, connector.Individual, "does not let members"},
		{"no role for all", person("x", ""), open, connector.Organization, "only admins"},
		{"an admin", admin, closed, connector.Individual, ""},
		{"an admin for all", admin, closed, connector.Organization, ""},
		{"an admin elsewhere", admin, identity.Organization{ID: "umbrella"}, connector.Individual, "no such connector"},
	} {
		err := connector.MayCreate(tt.p, tt.o, tt.scope)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestMayApply(t *testing.T) {
	t.Parallel()
	closed := identity.Organization{ID: "acme"}
	open := identity.Organization{ID: "acme", Settings: identity.OrganizationSettings{MembersMayAddConnectors: true}}
	c := connector.Connector{Organization: "acme", Owner: "ann", Settings: connector.Settings{Scope: connector.Individual, URL: "https://a.example/mcp"}}
	same, moved := c.Settings, c.Settings
	same.URL, moved.URL = " https://A.example:443/other", "https://b.example/mcp"
	member := person("ann", identity.Member)
	for _, tt := range []struct {
		name string
		p    identity.Principal
		o    identity.Organization
		s    connector.Settings
		want string
	}{
		{"the same server", member, closed, same, ""},
		{"another server while members add none", member, closed, moved, "does not let members"},
		{"another server while they may", member, open, moved, ""},
		{"a member's, by an admin", person("ada", identity.Admin), open, same, "only their own"},
		{"a member's, by another member", person("bob", identity.Member), open, same, "no such connector"},
	} {
		err := connector.MayApply(tt.p, tt.o, c, tt.s)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
