package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"perdure/internal/connector"
	"perdure/internal/secret"
	"perdure/internal/store"
)

// Of processes that register at the same time, all use one registration.
func TestOAuthClients(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.acme(t)
		c := connector.Client{Organization: "acme", Issuer: "https://as.example", RedirectURI: "https://us.example/cb"}
		_, err := w.OAuthClient(ctx, "acme", c.Issuer, c.RedirectURI)
		wantKind(t, "none yet", err, store.ErrNotFound)
		got := make([]connector.Client, 6)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				mine := c
				mine.Content = secret.New(fmt.Sprint("registration ", i))
				var err error
				if got[i], err = w.SaveOAuthClient(ctx, mine); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		stored, err := w.OAuthClient(ctx, "acme", c.Issuer, c.RedirectURI)
		ok(t, err)
		for _, g := range got {
			if !g.Content.Equal(stored.Content) || g.Version != 1 || stored.Version != 1 {
				t.Errorf("one uses %+v, stored is %+v", g, stored)
			}
		}
		next := stored
		next.Content = secret.New("renewed")
		if renewed, err := w.SaveOAuthClient(ctx, next); err != nil || renewed.Version != 2 || renewed.Content.Reveal() != "renewed" {
			t.Errorf("renewed: %+v, %v", renewed, err)
		}
		late := stored
		late.Content = secret.New("late")
		if used, err := w.SaveOAuthClient(ctx, late); err != nil || used.Content.Reveal() != "renewed" {
			t.Errorf("who was late uses %+v, %v", used, err)
		}
		wantKind(t, "an old one is not deleted", w.DeleteOAuthClient(ctx, stored), store.ErrNotFound)
		stored.Version = 2
		ok(t, w.DeleteOAuthClient(ctx, stored))
		_, err = w.OAuthClient(ctx, "acme", c.Issuer, c.RedirectURI)
		wantKind(t, "deleted", err, store.ErrNotFound)
		_, err = w.SaveOAuthClient(ctx, connector.Client{Organization: "none", Issuer: "i", RedirectURI: "r"})
		wantKind(t, "of no organization", err, store.ErrNotFound)
	})
}

func TestAuthorizations(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.acme(t)
		c := w.addOAuth(t, "acme", "ann")
		a := connector.Authorization{
			StateHash: "state", Organization: "acme", Connector: c.ID, User: "ann", By: "ann", Browser: "browser",
			Content: secret.New(canary), Expires: time.Now().UTC().Truncate(time.Microsecond).Add(time.Hour),
		}
		ok(t, w.AddAuthorization(ctx, a))
		wantKind(t, "the same state twice", w.AddAuthorization(ctx, a), store.ErrConflict)
		for what, try := range map[string][3]string{
			"another state":        {"acme", "states", "browser"},
			"another browser":      {"acme", "state", "other"},
			"no browser":           {"acme", "state", ""},
			"another organization": {"umbrella", "state", "browser"},
		} {
			_, err := w.TakeAuthorization(ctx, try[0], try[1], try[2])
			wantKind(t, what, err, store.ErrNotFound)
		}
		// None of them took it; of many at once, one does.
		results := make(chan error, 8)
		for range cap(results) {
			go func() {
				got, err := w.TakeAuthorization(ctx, "acme", "state", "browser")
				if err == nil && (!got.Content.Equal(a.Content) || got.Connector != c.ID || got.User != "ann" || got.By != "ann" || !got.Expires.Equal(a.Expires)) {
					err = fmt.Errorf("it is %+v", got)
				}
				results <- err
			}()
		}
		taken := 0
		for range cap(results) {
			if err := <-results; err == nil {
				taken++
			} else if !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		}
		if taken != 1 {
			t.Errorf("a state was good %d times", taken)
		}

		a.Expires = time.Now().Add(-time.Second)
		ok(t, w.AddAuthorization(ctx, a))
		_, err := w.TakeAuthorization(ctx, "acme", "state", "browser")
		wantKind(t, "too late", err, store.ErrExpired)
		_, err = w.TakeAuthorization(ctx, "acme", "state", "browser")
		if errors.Is(err, store.ErrExpired) {
			t.Error("what was too late is still there")
		}
		a.Expires = time.Now().Add(-2 * time.Hour)
		ok(t, w.AddAuthorization(ctx, a))
		a.StateHash = "next"
		ok(t, w.AddAuthorization(ctx, a))
		_, err = w.TakeAuthorization(ctx, "acme", "state", "browser")
		if errors.Is(err, store.ErrExpired) {
			t.Error("what was over long ago is kept")
		}
	})
}
