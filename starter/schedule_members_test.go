package starter

import (
	"testing"

	"perdure/internal/identity"
)

// TestMemberWhoLeavesMeanwhile: what somebody leaves behind who is removed between being let in and being looked up runs for a member that is
// none any more, and is refused. For a moment every starter lets such keys in.
func TestMemberWhoLeavesMeanwhile(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	let := must(m.store.Authenticate(t.Context(), m.newKey(t, "acme", "alice", identity.ScopeResponses)))
	configured := identity.Principal{Organization: "acme", User: "alice", Key: "laptop"}
	check := func(when string, who identity.Principal, want bool) {
		t.Helper()
		if got, err := m.starter.isMember(t.Context(), who); err != nil || got != want {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	check("with a key of the database", let, true)
	check("with a key of the configuration", configured, true)
	if err := m.store.RemoveMember(t.Context(), identity.Operator("acme"), "alice"); err != nil {
		t.Fatal(err)
	}
	check("removed, with a key of the database", let, true)
	check("removed, with a key of the configuration", configured, false)
}
