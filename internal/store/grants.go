package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"perdure/internal/connector"
	"perdure/internal/identity"
	"perdure/internal/secret"
)

// GrantKey names a grant: the connector's for a user, or for everybody if User is empty; see [connector.Settings.GrantOf].
type GrantKey struct {
	Organization string
	Connector    string
	User         string
}

// grantBinding is what a grant is sealed for. It is part of the stored format: it never changes.
func grantBinding(organization, id, user string) secret.Binding {
	return secret.Binding{Purpose: "connector.grant", Organization: organization, ConnectorID: id, User: user}
}

// PutGrant stores a grant of the actor's organization, in the place of one that is there. It waits for a refresh of that one. ErrNotFound:
// there is no such connector.
func (s *Store) PutGrant(ctx context.Context, by identity.Actor, g connector.Grant) error {
	const what = "store the grant"
	key := GrantKey{by.Organization, g.Connector, g.User}
	sealed, err := s.sealer.Seal([]byte(g.Content.Reveal()), grantBinding(key.Organization, key.Connector, key.User))
	if err != nil {
		return s.failed(ctx, what, err)
	}
	return s.alone(ctx, what, key, func(q querier) error {
		at := micros(now())
		_, err := q.ExecContext(ctx, `INSERT INTO grants (organization, connector, member, state, sealed, authorized_by, created, updated, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 1) ON CONFLICT (organization, connector, member) DO UPDATE SET state = excluded.state,
			sealed = excluded.sealed, authorized_by = excluded.authorized_by, created = excluded.created, updated = excluded.updated,
			version = grants.version + 1`,
			key.Organization, key.Connector, key.User, string(g.State), []byte(sealed), by.User, at)
		if err != nil {
			return err
		}
		return record(ctx, q, by, fromMicros(at), entry{ActGrantCreate, key.Connector, map[string]string{"for": forWhom(key)}})
	})
}

func forWhom(key GrantKey) string {
	if key.User == "" {
		return "everybody"
	}
	return key.User
}

// Grant opens a grant.
func (s *Store) Grant(ctx context.Context, key GrantKey) (connector.Grant, error) {
	g, err := s.grant(ctx, s.db, key, "")
	return g, s.failed(ctx, "find the grant", err)
}

func (s *Store) grant(ctx context.Context, q querier, key GrantKey, suffix string) (connector.Grant, error) {
	g := connector.Grant{Organization: key.Organization, Connector: key.Connector, User: key.User}
	var sealed []byte
	var created, updated int64
	err := q.QueryRowContext(ctx, `SELECT state, sealed, authorized_by, created, updated, version FROM grants
		WHERE organization = $1 AND connector = $2 AND member = $3`+suffix, key.Organization, key.Connector, key.User).
		Scan(&g.State, &sealed, &g.AuthorizedBy, &created, &updated, &g.Version)
	if err != nil {
		return connector.Grant{}, err
	}
	text, err := s.sealer.Open(sealed, grantBinding(key.Organization, key.Connector, key.User))
	if err != nil {
		return connector.Grant{}, err
	}
	g.Content, g.Created, g.Updated = secret.New(string(text)), fromMicros(created), fromMicros(updated)
	return g, nil
}

// GrantStates returns the state of each grant that a user works with, by connector: the user's own, and those that are everybody's. Which
// of them holds for a connector its settings say.
func (s *Store) GrantStates(ctx context.Context, organization, user string) (map[GrantKey]connector.GrantState, error) {
	const what = "list grants"
	rows, err := s.db.QueryContext(ctx, `SELECT connector, member, state FROM grants WHERE organization = $1 AND member IN ('', $2)`, organization, user)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer rows.Close()
	states := map[GrantKey]connector.GrantState{}
	for rows.Next() {
		key := GrantKey{Organization: organization}
		var state connector.GrantState
		if err := rows.Scan(&key.Connector, &key.User, &state); err != nil {
			return nil, s.failed(ctx, what, err)
		}
		states[key] = state
	}
	return states, s.failed(ctx, what, rows.Err())
}

// GrantKeys lists the grants of a connector, for those who revoke them all.
func (s *Store) GrantKeys(ctx context.Context, organization, id string) ([]GrantKey, error) {
	const what = "list grants"
	rows, err := s.db.QueryContext(ctx, `SELECT member FROM grants WHERE organization = $1 AND connector = $2 ORDER BY member`, organization, id)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer rows.Close()
	var keys []GrantKey
	for rows.Next() {
		key := GrantKey{Organization: organization, Connector: id}
		if err := rows.Scan(&key.User); err != nil {
			return nil, s.failed(ctx, what, err)
		}
		keys = append(keys, key)
	}
	return keys, s.failed(ctx, what, rows.Err())
}

// DeleteGrant forgets a grant of the actor's organization, which a disconnection does after it was revoked. It waits for a refresh.
func (s *Store) DeleteGrant(ctx context.Context, by identity.Actor, connectorID, user string) error {
	key := GrantKey{by.Organization, connectorID, user}
	return s.alone(ctx, "delete the grant", key, func(q querier) error {
		err := one(ctx, q, ErrNotFound, `DELETE FROM grants WHERE organization = $1 AND connector = $2 AND member = $3`,
			key.Organization, key.Connector, key.User)
		if err != nil {
			return err
		}
		return record(ctx, q, by, now(), entry{ActGrantDelete, key.Connector, map[string]string{"for": forWhom(key)}})
	})
}

// refreshTimeout bounds how long a grant is held: seconds for an authorization server, and time to store what it gave.
const refreshTimeout = 60 * time.Second

// WithGrantLock gives a grant to refresh, alone: no other process, and no other caller in this one, has the grant of that key meanwhile,
// and it was read after they were done. If refresh returns a grant with another state or content, that is stored before WithGrantLock
// returns it; if it returns an error, nothing changes. ErrNotFound: there is no such grant.
//
// The context that refresh gets ends after a minute, and not with the caller's: a refresh token that was spent while its successor was
// thrown away would be the end of the grant.
func (s *Store) WithGrantLock(ctx context.Context, key GrantKey, refresh func(context.Context, connector.Grant) (connector.Grant, error)) (connector.Grant, error) {
	const what = "refresh the grant"
	held, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	session, err := s.hold(ctx, held, key)
	if err != nil {
		return connector.Grant{}, s.failed(ctx, what, err)
	}
	defer session.end()
	g, err := s.grant(ctx, session.q, key, s.engine.forUpdate())
	if err != nil {
		return connector.Grant{}, s.failed(ctx, what, err)
	}
	next, err := refresh(held, g)
	if err != nil || next.State == g.State && next.Content.Equal(g.Content) {
		return g, err
	}
	g.State, g.Content = next.State, next.Content
	sealed, err := s.sealer.Seal([]byte(g.Content.Reveal()), grantBinding(key.Organization, key.Connector, key.User))
	if err != nil {
		return connector.Grant{}, s.failed(held, what, err)
	}
	if err := s.storeRefreshed(held, session, &g, sealed); err != nil {
		return connector.Grant{}, s.failed(held, what, err)
	}
	return g, nil
}

// storeRefreshed stores what cannot be had again. It does not give up because a connection broke: it tries until its context ends.
func (s *Store) storeRefreshed(ctx context.Context, session *grantSession, g *connector.Grant, sealed secret.Sealed) error {
	q, before := session.q, g.Version
	g.Version, g.Updated = g.Version+1, now()
	for {
		err := one(ctx, q, ErrConflict, `UPDATE grants SET state = $1, sealed = $2, updated = $3, version = $4
			WHERE organization = $5 AND connector = $6 AND member = $7 AND version = $8`,
			string(g.State), []byte(sealed), micros(g.Updated), g.Version, g.Organization, g.Connector, g.User, before)
		if err == nil && q == session.q {
			err = session.commit()
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrConflict) && q != session.q:
			// Either the first try was stored before its answer was lost, or, the lock being lost with its connection, another was faster.
			current, readErr := s.grant(ctx, s.db, GrantKey{g.Organization, g.Connector, g.User}, "")
			if readErr == nil && current.Version == g.Version && current.Content.Equal(g.Content) {
				return nil
			}
			return err
		case !errors.Is(s.failed(ctx, "", err), ErrUnavailable):
			return err
		}
		s.logger.Warn("a refreshed grant could not be stored yet, trying again", "connector", g.Connector, "error", err)
		session.abandon()
		q = s.db
		select {
		case <-ctx.Done():
			return err
		case <-time.After(storeAgainAfter):
		}
	}
}

const storeAgainAfter = 500 * time.Millisecond

// alone runs change in a transaction while nobody refreshes the grant.
func (s *Store) alone(ctx context.Context, what string, key GrantKey, change func(querier) error) error {
	session, err := s.hold(ctx, ctx, key)
	if err != nil {
		return s.failed(ctx, what, err)
	}
	defer session.end()
	if session.tx == nil {
		return s.write(ctx, what, func(tx *sql.Tx) error { return change(tx) })
	}
	if err := change(session.tx); err != nil {
		return s.failed(ctx, what, err)
	}
	return s.failed(ctx, what, session.commit())
}
