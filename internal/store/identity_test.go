package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perdure/internal/identity"
	"perdure/internal/store"
)

func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func TestOrganizations(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		if made, err := w.Bootstrap(ctx, "acme", "eve"); made || err != nil {
			t.Errorf("a second Bootstrap: %v, %v", made, err)
		}
		_, err := w.Member(ctx, "acme", "eve")
		wantKind(t, "its admin", err, store.ErrNotFound)
		o, err := w.Organization(ctx, "acme")
		if err != nil || o.ID != "acme" || o.Settings.MembersMayAddConnectors || time.Since(o.Created) > time.Minute {
			t.Errorf("a new organization is %+v, %v", o, err)
		}
		ok(t, w.UpdateOrganization(ctx, by, identity.OrganizationSettings{MembersMayAddConnectors: true}))
		if o, err = w.EnsureOrganization(ctx, by); err != nil || !o.Settings.MembersMayAddConnectors {
			t.Errorf("after the change it is %+v, %v", o, err)
		}
		_, err = w.CreateOrganization(ctx, by, identity.OrganizationSettings{})
		wantKind(t, "the same again", err, store.ErrConflict)
		wantKind(t, "one that is not there", w.UpdateOrganization(ctx, identity.Operator("none"), identity.OrganizationSettings{}), store.ErrNotFound)
		if _, err := w.CreateOrganization(ctx, identity.Operator("a b"), identity.OrganizationSettings{}); err == nil {
			t.Error("an organization has a name with a space")
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if o, err := w.EnsureOrganization(ctx, identity.Operator("fresh")); err != nil || o.ID != "fresh" {
					t.Errorf("EnsureOrganization is %+v, %v", o, err)
				}
			})
		}
		all.Wait()
	})
}

func TestMembers(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		u, err := w.Member(ctx, "acme", "ann")
		if err != nil || u.Role != identity.Member || u.Email != "ann@acme.example" || u.Organization != "acme" {
			t.Errorf("ann is %+v, %v", u, err)
		}
		if same, err := w.MemberByEmail(ctx, "acme", "ann@acme.example"); err != nil || same != u {
			t.Errorf("by her address she is %+v, %v", same, err)
		}
		_, err = w.AddMember(ctx, by, "ann", "", identity.Member)
		wantKind(t, "a second ann", err, store.ErrConflict)
		_, err = w.AddMember(ctx, by, "anna", "ann@acme.example", identity.Member)
		wantKind(t, "a second ann@", err, store.ErrConflict)
		_, err = w.AddMember(ctx, identity.Operator("none"), "ann", "", identity.Member)
		wantKind(t, "nowhere", err, store.ErrNotFound)
		for _, bad := range []string{"", "a b"} {
			if _, err := w.AddMember(ctx, by, bad, "", identity.Member); err == nil {
				t.Errorf("a member is called %q", bad)
			}
		}
		// Two without an address do not collide.
		must(t)(w.AddMember(ctx, by, "x", "", identity.Member))
		must(t)(w.AddMember(ctx, by, "y", "", identity.Member))

		ok(t, w.SetRole(ctx, by, "ann", identity.Admin))
		if u, err = w.Member(ctx, "acme", "ann"); err != nil || u.Role != identity.Admin {
			t.Errorf("ann is %+v, %v", u, err)
		}
		wantKind(t, "nobody's role", w.SetRole(ctx, by, "nobody", identity.Admin), store.ErrNotFound)
		if err := w.SetRole(ctx, by, "ann", "owner"); err == nil {
			t.Error("ann is an owner")
		}
		ok(t, w.SetRole(ctx, by, "ada", identity.Member))
		wantKind(t, "no admin", w.SetRole(ctx, by, "ann", identity.Member), store.ErrLastAdmin)
		wantKind(t, "no admin left", w.RemoveMember(ctx, by, "ann"), store.ErrLastAdmin)
		wantKind(t, "nobody removed", w.RemoveMember(ctx, by, "nobody"), store.ErrNotFound)
		ok(t, w.RemoveMember(ctx, by, "ada"))
	})
}

// Two admins who take each other's role at the same time cannot both succeed.
func TestOneAdminRemains(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		for range 5 {
			ok(t, w.SetRole(ctx, by, "ann", identity.Admin))
			ok(t, w.SetRole(ctx, by, "ada", identity.Admin))
			errs := make([]error, 2)
			var all sync.WaitGroup
			all.Go(func() { errs[0] = w.SetRole(ctx, by, "ann", identity.Member) })
			all.Go(func() { errs[1] = w.RemoveMember(ctx, by, "ada") })
			all.Wait()
			if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), store.ErrLastAdmin) {
				t.Fatalf("the two got %v", errs)
			}
			if errs[1] == nil {
				must(t)(w.AddMember(ctx, by, "ada", "", identity.Member))
			}
		}
	})
}

func TestKeys(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		key, text, err := identity.NewKey("acme", "ann", "laptop", identity.ScopeResponses, time.Now(), time.Time{})
		ok(t, err)
		ok(t, w.AddKey(ctx, by, key))
		p, err := w.Authenticate(ctx, text.Reveal())
		want := identity.Principal{Organization: "acme", User: "ann", Key: key.ID, Role: identity.Member, Stored: true, Scopes: identity.ScopeResponses}
		if err != nil || p != want {
			t.Errorf("the key is %+v, %v", p, err)
		}
		got, err := w.Key(ctx, "acme", key.ID)
		if err != nil || got.Hash != key.Hash || got.Prefix != key.Prefix || got.Name != "laptop" || time.Since(got.LastUsed) > time.Minute || !got.Expires.IsZero() {
			t.Errorf("the key is %+v, %v", got, err)
		}
		for _, wrong := range []string{"", text.Reveal() + "x", text.Reveal()[1:], key.Prefix, key.ID} {
			_, err := w.Authenticate(ctx, wrong)
			wantKind(t, fmt.Sprintf("key %q", wrong), err, store.ErrNotFound)
		}
		// What the member is now counts, not what they were when the key was made.
		admin, adminText, err := identity.NewKey("acme", "ann", "admin", identity.AllScopes, time.Now(), time.Now().Add(time.Hour))
		ok(t, err)
		ok(t, w.AddKey(ctx, by, admin))
		ok(t, w.SetRole(ctx, by, "ann", identity.Admin))
		if p, err := w.Authenticate(ctx, adminText.Reveal()); err != nil || p.Role != identity.Admin {
			t.Errorf("an admin's key is %+v, %v", p, err)
		}
		if p, err := w.Authenticate(ctx, text.Reveal()); err != nil || p.Role != identity.Member {
			t.Errorf("an admin's key for runs is %+v, %v", p, err)
		}

		ok(t, w.RevokeKey(ctx, by, key.ID))
		_, err = w.Authenticate(ctx, text.Reveal())
		wantKind(t, "revoked", err, store.ErrNotFound)
		wantKind(t, "revoked twice", w.RevokeKey(ctx, by, key.ID), store.ErrNotFound)
		if got, err := w.Key(ctx, "acme", key.ID); err != nil || got.Revoked.IsZero() {
			t.Errorf("the revoked key is %+v, %v", got, err)
		}
		over, overText, err := identity.NewKey("acme", "ann", "over", identity.AllScopes, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
		ok(t, err)
		ok(t, w.AddKey(ctx, by, over))
		_, err = w.Authenticate(ctx, overText.Reveal())
		wantKind(t, "expired", err, store.ErrNotFound)
		wantKind(t, "the same key again", w.AddKey(ctx, by, admin), store.ErrConflict)
		stray, _, err := identity.NewKey("acme", "nobody", "stray", identity.AllScopes, time.Now(), time.Time{})
		ok(t, err)
		wantKind(t, "nobody's key", w.AddKey(ctx, by, stray), store.ErrNotFound)

		if all, _, err := w.Keys(ctx, "acme", "ann", store.Page{}); err != nil || len(all) != 3 {
			t.Errorf("ann has %d keys, %v", len(all), err)
		}
		if all, _, err := w.Keys(ctx, "acme", "bob", store.Page{}); err != nil || len(all) != 0 {
			t.Errorf("bob has %d keys, %v", len(all), err)
		}
		ok(t, w.RemoveMember(ctx, by, "ann"))
		_, err = w.Authenticate(ctx, adminText.Reveal())
		wantKind(t, "of a member who was removed", err, store.ErrNotFound)
	})
}

func TestPages(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		var made []string
		at := time.Now().Truncate(time.Microsecond)
		for i := range 7 {
			key, _, err := identity.NewKey("acme", "ann", fmt.Sprintf("k%d", i), identity.AllScopes, at.Add(time.Duration(i/3)*time.Second), time.Time{})
			ok(t, err)
			ok(t, w.AddKey(ctx, by, key))
			made = append(made, key.ID)
		}
		var got []string
		page := store.Page{Limit: 2}
		for pages := 1; ; pages++ {
			keys, next, err := w.Keys(ctx, "acme", "", page)
			ok(t, err)
			for _, k := range keys {
				got = append(got, k.ID)
			}
			// What comes while somebody turns pages is not in them, and moves nothing.
			key, _, err := identity.NewKey("acme", "ann", "late", identity.AllScopes, time.Now().Add(time.Hour), time.Time{})
			ok(t, err)
			ok(t, w.AddKey(ctx, by, key))
			if next == "" {
				if pages != 4 || len(keys) != 1 {
					t.Errorf("%d pages, the last one with %d", pages, len(keys))
				}
				break
			}
			page.After = next
		}
		if len(got) != 7 {
			t.Fatalf("%d keys in the pages, want 7", len(got))
		}
		if slices.Compare(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(made))) != 0 {
			t.Errorf("pages have %v, want %v", got, made)
		}
		for _, cursor := range []string{"x", "!", "MTIz", "YSBi", strings.Repeat("MSAx", 200)} {
			_, _, err := w.Keys(ctx, "acme", "", store.Page{After: cursor})
			wantKind(t, "cursor "+cursor, err, store.ErrCursor)
		}
		if members, next, err := w.Members(ctx, "acme", store.Page{Limit: 3}); err != nil || len(members) != 3 || next != "" {
			t.Errorf("a page that is just full: %d, %q, %v", len(members), next, err)
		}
	})
}

func TestSessions(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		session, token := identity.NewSession("acme", "ann", time.Now())
		ok(t, w.AddSession(ctx, by, session))
		p, err := w.Session(ctx, token.Reveal())
		if err != nil || p.User != "ann" || p.Organization != "acme" || p.Role != identity.Member || p.Scopes != identity.AllScopes {
			t.Errorf("signed in is %+v, %v", p, err)
		}
		_, err = w.Session(ctx, token.Reveal()+"x")
		wantKind(t, "another token", err, store.ErrNotFound)
		_, err = w.Authenticate(ctx, token.Reveal())
		wantKind(t, "a session as a key", err, store.ErrNotFound)
		old, oldToken := identity.NewSession("acme", "ann", time.Now().Add(-identity.SessionFor))
		ok(t, w.AddSession(ctx, by, old))
		_, err = w.Session(ctx, oldToken.Reveal())
		wantKind(t, "over", err, store.ErrExpired)
		wantKind(t, "over", err, store.ErrNotFound)
		second, secondToken := identity.NewSession("acme", "ann", time.Now())
		ok(t, w.AddSession(ctx, by, second))
		_, err = w.Session(ctx, oldToken.Reveal())
		if errors.Is(err, store.ErrExpired) {
			t.Error("a session that is over is kept for ever")
		}
		stray, _ := identity.NewSession("acme", "nobody", time.Now())
		wantKind(t, "nobody's session", w.AddSession(ctx, by, stray), store.ErrNotFound)

		ann := identity.Actor{Organization: "acme", User: "ann"}
		ok(t, w.EndSession(ctx, identity.Actor{Organization: "umbrella", User: "ann"}, token.Reveal()))
		must(t)(w.Session(ctx, token.Reveal()))
		ok(t, w.EndSession(ctx, ann, token.Reveal()))
		ok(t, w.EndSession(ctx, ann, token.Reveal()))
		_, err = w.Session(ctx, token.Reveal())
		wantKind(t, "signed out", err, store.ErrNotFound)
		ok(t, w.EndSessions(ctx, by, "ann"))
		_, err = w.Session(ctx, secondToken.Reveal())
		wantKind(t, "signed out everywhere", err, store.ErrNotFound)
	})
}

func TestSessionsOfAMember(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		w.organization(t, "umbrella")
		var mine []identity.Session
		for i := range 3 {
			session, _ := identity.NewSession("acme", "ann", time.Now().Add(time.Duration(i)*time.Second))
			ok(t, w.AddSession(ctx, by, session))
			mine = append(mine, session)
		}
		over, _ := identity.NewSession("acme", "ann", time.Now().Add(-identity.SessionFor+300*time.Millisecond))
		ok(t, w.AddSession(ctx, by, over))
		ids := func() (all []string) {
			sessions, err := w.Sessions(ctx, "acme", "ann")
			ok(t, err)
			for _, s := range sessions {
				all = append(all, s.ID())
			}
			return all
		}
		for len(ids()) == 4 {
			<-time.After(10 * time.Millisecond) // until it is over
		}
		if got, want := ids(), []string{mine[2].ID(), mine[1].ID(), mine[0].ID()}; !slices.Equal(got, want) {
			t.Errorf("sessions %v, want %v", got, want)
		}
		wantKind(t, "of another member", w.EndSessionOf(ctx, by, "bob", mine[1].Hash), store.ErrNotFound)
		wantKind(t, "from another organization", w.EndSessionOf(ctx, identity.Operator("umbrella"), "ann", mine[1].Hash), store.ErrNotFound)
		ok(t, w.EndSessionOf(ctx, by, "ann", mine[1].Hash))
		wantKind(t, "once more", w.EndSessionOf(ctx, by, "ann", mine[1].Hash), store.ErrNotFound)
		if got, want := ids(), []string{mine[2].ID(), mine[0].ID()}; !slices.Equal(got, want) {
			t.Errorf("sessions %v, want %v", got, want)
		}
		if sessions, err := w.Sessions(ctx, "umbrella", "ann"); err != nil || len(sessions) != 0 {
			t.Errorf("in another organization: %v, %v", sessions, err)
		}
	})
}

func TestEventFilter(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		by := w.acme(t)
		ann := identity.Actor{Organization: "acme", User: "ann", Key: "k", Address: "192.0.2.1"}
		ok(t, w.Record(ctx, ann, "test.one", "x", nil))
		ok(t, w.Record(ctx, ann, "test.two", "y", nil))
		ok(t, w.Record(ctx, by, "testing.one", "x", nil))
		all, _, err := w.Events(ctx, "acme", store.EventFilter{}, store.Page{})
		ok(t, err)
		if len(all) < 3 || all[0].Action != "testing.one" {
			t.Fatalf("events %+v", all)
		}
		for _, tt := range []struct {
			filter store.EventFilter
			want   string
		}{
			{store.EventFilter{Action: "test."}, "test.two test.one"},
			{store.EventFilter{Action: "test.one"}, "test.one"},
			{store.EventFilter{Action: "test"}, ""},
			{store.EventFilter{Action: "t%."}, ""},
			{store.EventFilter{Target: "x"}, "testing.one test.one"},
			{store.EventFilter{User: "ann", Target: "x"}, "test.one"},
			{store.EventFilter{User: "nobody"}, ""},
			{store.EventFilter{From: all[1].At}, "testing.one test.two"},
			{store.EventFilter{User: "ann", Before: all[1].At}, "test.one"},
			{store.EventFilter{Action: "test.", From: all[1].At, Before: all[0].At}, "test.two"},
		} {
			events, next, err := w.Events(ctx, "acme", tt.filter, store.Page{})
			ok(t, err)
			var actions []string
			for _, e := range events {
				actions = append(actions, e.Action)
			}
			if got := strings.Join(actions, " "); got != tt.want || next != "" {
				t.Errorf("%+v: %q, %q, want %q", tt.filter, got, next, tt.want)
			}
		}
		// A filter goes through pages as the whole list does.
		first, next, err := w.Events(ctx, "acme", store.EventFilter{Action: "test."}, store.Page{Limit: 1})
		ok(t, err)
		second, end, err := w.Events(ctx, "acme", store.EventFilter{Action: "test."}, store.Page{Limit: 1, After: next})
		ok(t, err)
		if len(first) != 1 || len(second) != 1 || first[0].Action != "test.two" || second[0].Action != "test.one" || end != "" {
			t.Errorf("pages %+v, %+v, then %q", first, second, end)
		}
	})
}
