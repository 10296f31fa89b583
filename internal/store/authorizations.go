package store

import (
	"context"
	"database/sql"
	"time"

	"perdure/internal/connector"
	"perdure/internal/secret"
)

// authorizationBinding is what an authorization is sealed for.
func authorizationBinding(organization, id, user string) secret.Binding {
	return secret.Binding{Purpose: "oauth.authorization", Organization: organization, ConnectorID: id, User: user}
}

// AddAuthorization stores an authorization that a browser is sent off for, and forgets those that are over. ErrNotFound: there is no such
// connector.
func (s *Store) AddAuthorization(ctx context.Context, a connector.Authorization) error {
	const what = "store the authorization"
	sealed, err := s.sealer.Seal([]byte(a.Content.Reveal()), authorizationBinding(a.Organization, a.Connector, a.User))
	if err != nil {
		return s.failed(ctx, what, err)
	}
	return s.write(ctx, what, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM authorizations WHERE expires <= $1`, micros(now().Add(-keepExpired))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO authorizations (state_hash, organization, connector, member, authorized_by, browser, sealed, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			a.StateHash, a.Organization, a.Connector, a.User, a.By, a.Browser, []byte(sealed), micros(a.Expires))
		return err
	})
}

// keepExpired is for how long a person who comes back late hears that it was too late, not that nothing is known.
const keepExpired = time.Hour

// TakeAuthorization returns the authorization of a state and deletes it: a state is good once. Only the browser that was sent off gets it,
// for the organization that it is signed in to; others learn nothing and change nothing. ErrNotFound: there is none for this browser, or it
// was used; ErrExpired: it is over.
func (s *Store) TakeAuthorization(ctx context.Context, organization, stateHash, browser string) (connector.Authorization, error) {
	a := connector.Authorization{StateHash: stateHash, Organization: organization, Browser: browser}
	err := s.write(ctx, "take the authorization", func(tx *sql.Tx) error {
		var sealed []byte
		var expires int64
		err := tx.QueryRowContext(ctx, `DELETE FROM authorizations WHERE state_hash = $1 AND organization = $2 AND browser = $3
			RETURNING connector, member, authorized_by, sealed, expires`, stateHash, organization, browser).
			Scan(&a.Connector, &a.User, &a.By, &sealed, &expires)
		if err != nil {
			return err
		}
		a.Expires = fromMicros(expires)
		text, err := s.sealer.Open(sealed, authorizationBinding(organization, a.Connector, a.User))
		a.Content = secret.New(string(text))
		return err
	})
	if err == nil && !now().Before(a.Expires) {
		// After the transaction, so that it is gone nevertheless.
		err = s.failed(ctx, "take the authorization", ErrExpired)
	}
	if err != nil {
		return connector.Authorization{}, err
	}
	return a, nil
}
