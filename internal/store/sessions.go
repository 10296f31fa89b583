package store

import (
	"context"
	"database/sql"

	"perdure/internal/identity"
)

// AddSession stores a session that [identity.NewSession] made for the actor, and forgets those that are over. ErrNotFound: there is no
// such member.
func (s *Store) AddSession(ctx context.Context, by identity.Actor, session identity.Session) error {
	return s.write(ctx, "start the session", func(tx *sql.Tx) error {
		at := now()
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires <= $1`, micros(at)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (hash, organization, member, created, expires) VALUES ($1, $2, $3, $4, $5)`,
			session.Hash[:], by.Organization, session.User, micros(session.Created), micros(session.Expires))
		if err != nil {
			return err
		}
		return record(ctx, tx, by, at, entry{ActSessionStart, session.User, nil})
	})
}

// Session returns who is signed in with a token. ErrNotFound: nobody; ErrExpired: not any more.
func (s *Store) Session(ctx context.Context, token string) (identity.Principal, error) {
	const what = "find the session"
	hash := identity.HashKey(token)
	session := identity.Session{Hash: hash}
	var role identity.Role
	var created, expires int64
	err := s.db.QueryRowContext(ctx, `SELECT s.organization, s.member, s.created, s.expires, m.role FROM sessions s
		JOIN members m ON m.organization = s.organization AND m.id = s.member WHERE s.hash = $1`, hash[:]).
		Scan(&session.Organization, &session.User, &created, &expires, &role)
	if err == nil && micros(now()) >= expires {
		err = ErrExpired
	}
	if err != nil {
		return identity.Principal{}, s.failed(ctx, what, err)
	}
	return session.Principal(role), nil
}

// EndSession signs a browser out. A token that is not known is no failure: it is signed out already.
func (s *Store) EndSession(ctx context.Context, by identity.Actor, token string) error {
	hash := identity.HashKey(token)
	return s.write(ctx, "end the session", func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE organization = $1 AND hash = $2`, by.Organization, hash[:])
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActSessionEnd, by.User, nil})
	})
}

// EndSessions signs a member of the actor's organization out everywhere.
func (s *Store) EndSessions(ctx context.Context, by identity.Actor, user string) error {
	return s.write(ctx, "end the sessions", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE organization = $1 AND member = $2`, by.Organization, user); err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActSessionEnd, user, nil})
	})
}

// maxSessions is how many sessions of one member are listed: more than a person has browsers.
const maxSessions = 100

// Sessions lists the sessions of a member that are not over, the latest first.
func (s *Store) Sessions(ctx context.Context, organization, user string) (sessions []identity.Session, err error) {
	const what = "list the sessions"
	rows, err := s.db.QueryContext(ctx, `SELECT hash, created, expires FROM sessions
		WHERE organization = $1 AND member = $2 AND expires > $3 ORDER BY created DESC, hash LIMIT $4`, organization, user, micros(now()), maxSessions)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer rows.Close()
	for rows.Next() {
		session := identity.Session{Organization: organization, User: user}
		var hash []byte
		var created, expires int64
		if err := rows.Scan(&hash, &created, &expires); err != nil {
			return nil, s.failed(ctx, what, err)
		}
		copy(session.Hash[:], hash)
		session.Created, session.Expires = fromMicros(created), fromMicros(expires)
		sessions = append(sessions, session)
	}
	return sessions, s.failed(ctx, what, rows.Err())
}

// EndSessionOf ends a session of [Store.Sessions]. ErrNotFound: it has ended, or is not the user's.
func (s *Store) EndSessionOf(ctx context.Context, by identity.Actor, user string, hash identity.KeyHash) error {
	return s.write(ctx, "end the session", func(tx *sql.Tx) error {
		err := one(ctx, tx, ErrNotFound, `DELETE FROM sessions WHERE organization = $1 AND member = $2 AND hash = $3`, by.Organization, user, hash[:])
		if err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActSessionEnd, user, nil})
	})
}
