package ui

import (
	"strings"
	"testing"
	"time"

	"perdure/internal/connection"
	"perdure/internal/connector"
)

// TestCard: what a card says and does, by how things stand and what the person may do.
func TestCard(t *testing.T) {
	t.Parallel()
	const owner, member, admin = "see use edit probe review enable delete authorize", "see use authorize", "see delete restrict vet"
	view := func(state connector.State, may string, change func(*connection.View)) connection.View {
		v := connection.View{}
		v.Connector = connector.Connector{ID: connector.NewID(), Owner: "ann", Enabled: true, Settings: connector.Settings{
			Name: "Acme", URL: "https://mcp.example.com/mcp?key=secret", Scope: connector.Individual, Transport: connector.SSE, Auth: connector.Auth{Type: connector.AuthNone},
		}}
		for action := range strings.FieldsSeq(may) {
			v.May = append(v.May, connector.Action(action))
		}
		v.Connector.Status = connector.Status{State: state, Stage: "dns", Message: "its name is not known; check the URL"}
		if change != nil {
			change(&v)
		}
		v.Tag, v.Status = v.Shown(v.Grant)
		v.Drift = v.Probe.Drift()
		return v
	}
	oauth := func(grant connector.GrantState) func(*connection.View) {
		return func(v *connection.View) { v.Settings.Auth.Type, v.Grant = connector.AuthOAuth, grant }
	}
	off := func(v *connection.View) { v.Enabled = false }
	shared := func(change func(*connection.View)) func(*connection.View) {
		return func(v *connection.View) {
			v.Settings.Scope, v.Shared = connector.Organization, true
			change(v)
		}
	}
	drifted := func(v *connection.View) {
		at := time.Unix(1, 0)
		v.Probe = connector.Probe{}.Found(connector.Probe{At: at}).Found(connector.Probe{At: at, Tools: []connector.Tool{connector.NewTool("a", "", nil, false)}})
	}
	both := func(changes ...func(*connection.View)) func(*connection.View) {
		return func(v *connection.View) {
			for _, change := range changes {
				change(v)
			}
		}
	}
	for name, tt := range map[string]struct {
		v             connection.View
		tags, act     string // the tags that say how things stand, and what a click does
		message, menu string
	}{
		"new": {
			view(connector.Connected, owner, off), "Disabled", "Enable", "Enable it to use it.", "Details Edit Verify Enable Remove…",
		},
		"connected": {view(connector.Connected, owner, nil), "Connected", "Details", "", "Details Edit Verify Disable Remove…"},
		"new, and fails": {
			view(connector.Failed, owner, off), "Error Disabled", "Reconfigure", "Failed at dns: Its name is not known; check the URL.",
			"Details Edit Verify Enable Remove…",
		},
		"fails, a member's view": {
			view(connector.Failed, member, shared(oauth(connector.GrantActive))), "Error", "Details", "Failed at dns: Its name is not known; check the URL.",
			"Details Authorize again Disconnect",
		},
		"new, with OAuth": {
			view(connector.NeedsAuth, owner, both(off, oauth(connector.GrantMissing))), "Authorize Disabled", "Authorize", "Authorize it to use it.",
			"Details Edit Verify Authorize Enable Remove…",
		},
		"authorized": {
			view(connector.Connected, owner, oauth(connector.GrantActive)), "Connected", "Details", "", "Details Edit Verify Authorize again Disconnect Disable Remove…",
		},
		"its authorization has ended": {
			view(connector.Connected, owner, oauth(connector.GrantDead)), "Authorize again", "Authorize again", "Its authorization has ended: authorize it again.",
			"Details Edit Verify Authorize again Disconnect Disable Remove…",
		},
		"authorized by admins alone": {
			view(connector.NeedsAuth, "see use", shared(both(oauth(connector.GrantMissing), func(v *connection.View) { v.Settings.Auth.OAuth.Grants = connector.GrantShared }))),
			"Authorize", "Details", "An admin has to authorize it for the organization.", "Details",
		},
		"disabled, a member's view": {view(connector.Connected, "see", shared(off)), "Disabled", "Details", "It is disabled: nobody can use it now.", "Details"},
		"restricted": {
			view(connector.Failed, "see edit review enable delete", func(v *connection.View) { v.Restricted = &connector.Restriction{Reason: "leaks"} }),
			"Restricted", "Details", "An admin has restricted it: leaks.", "Details Edit Disable Remove…",
		},
		"tools changed": {
			view(connector.Connected, owner, drifted), "Tools changed", "Review changes", "Its tools are not what they were when somebody looked last: review them.",
			"Details Edit Verify Disable Remove…",
		},
		"an admin's view of a member's": {view(connector.Connected, admin, nil), "Connected", "Details", "", "Details Remove…"},
		"an organization's, an admin's view": {
			view(connector.Connected, owner+" share", func(v *connection.View) { v.Settings.Scope = connector.Organization }),
			"Connected Not shared", "Details", "", "Details Edit Verify Disable Share with the organization Remove…",
		},
	} {
		c := accountSection.card(tt.v)
		var tags, menu []string
		for _, tag := range c.Tags {
			if tag.Text == "Individual" || tag.Text == "Organization" {
				break
			}
			tags = append(tags, tag.Text)
		}
		for _, a := range c.Menu {
			menu = append(menu, a.Text)
			if strings.HasPrefix(a.Text, "Authorize") && a.Post {
				t.Errorf("%s: a form leads to an authorization server, which the page's policy forbids", name)
			}
		}
		if got := strings.Join(tags, " "); got != tt.tags {
			t.Errorf("%s: the tags are %q, want %q", name, got, tt.tags)
		}
		if c.Act.Text != tt.act || c.Message != tt.message {
			t.Errorf("%s: a click does %q, the message is %q; want %q, %q", name, c.Act.Text, c.Message, tt.act, tt.message)
		}
		if got := strings.Join(menu, " "); got != tt.menu {
			t.Errorf("%s: the menu is %q, want %q", name, got, tt.menu)
		}
		if c.Address() != "https://mcp.example.com/mcp?…" {
			t.Errorf("%s: the address is %s", name, c.Address())
		}
	}
	// What only the admins' pages have.
	c := enterpriseSection.card(view(connector.Connected, admin, nil))
	var menu []string
	for _, a := range c.Menu {
		menu = append(menu, a.Text)
	}
	if got := strings.Join(menu, " "); got != "Details Mark as reviewed Restrict… Remove…" {
		t.Errorf("the admins' menu is %q", got)
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{{}, time.Unix(1, 123456789), time.Date(2026, 11, 26, 12, 0, 0, 0, time.FixedZone("", 3600))} {
		if got, err := readStamp(stamp(at)); err != nil || !got.Equal(at) || got.IsZero() != at.IsZero() {
			t.Errorf("%v is read as %v, %v", at, got, err)
		}
	}
	if _, err := readStamp("yesterday"); err == nil {
		t.Error("yesterday is a time")
	}
}
