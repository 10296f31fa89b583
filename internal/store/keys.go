package store

import (
	"context"
	"database/sql"
	"time"

	"perdure/internal/identity"
)

// AddKey stores a key that [identity.NewKey] made, for a member of the actor's organization. ErrNotFound: there is no such member.
func (s *Store) AddKey(ctx context.Context, by identity.Actor, k identity.APIKey) error {
	return s.write(ctx, "add the API key", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO api_keys (id, organization, member, name, prefix, hash, scopes, created, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			k.ID, by.Organization, k.User, k.Name, k.Prefix, k.Hash[:], k.Scopes.String(), micros(k.Created), maybeMicros(k.Expires))
		if err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActKeyCreate, k.ID, map[string]string{
			"user": k.User, "name": k.Name, "scopes": k.Scopes.String(),
		}})
	})
}

const keyColumns = `id, organization, member, name, prefix, hash, scopes, created, expires, revoked, last_used`

// Keys lists the keys of an organization, revoked ones too; of one member if user is not empty.
func (s *Store) Keys(ctx context.Context, organization, user string, p Page) (keys []identity.APIKey, next string, err error) {
	return list(ctx, s, "list API keys", p, `SELECT `+keyColumns+` FROM api_keys
		WHERE organization = $1 AND ($2 = '' OR member = $2) AND (created, id) < ($3, $4) ORDER BY created DESC, id DESC LIMIT $5`,
		[]any{organization, user}, scanKey, func(k identity.APIKey) (time.Time, string) { return k.Created, k.ID })
}

// Key returns a key of an organization.
func (s *Store) Key(ctx context.Context, organization, id string) (identity.APIKey, error) {
	k, err := scanKey(s.db.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE organization = $1 AND id = $2`, organization, id))
	return k, s.failed(ctx, "find the API key", err)
}

// RevokeKey ends a key of the actor's organization for good. ErrNotFound: there is none, or it was revoked before.
func (s *Store) RevokeKey(ctx context.Context, by identity.Actor, id string) error {
	return s.write(ctx, "revoke the API key", func(tx *sql.Tx) error {
		at := now()
		err := one(ctx, tx, ErrNotFound, `UPDATE api_keys SET revoked = $1 WHERE organization = $2 AND id = $3 AND revoked IS NULL`,
			micros(at), by.Organization, id)
		if err != nil {
			return err
		}
		return record(ctx, tx, by, at, entry{ActKeyRevoke, id, nil})
	})
}

// lastUsedEvery is how exact the time of a key's last use is: a write for each request would be one too many.
const lastUsedEvery = time.Minute

// Authenticate returns whom an API key belongs to. It looks the key's hash up, so its time says nothing about keys. ErrNotFound: it is
// nobody's, or revoked, or has expired.
func (s *Store) Authenticate(ctx context.Context, key string) (identity.Principal, error) {
	const what = "find the API key"
	hash := identity.HashKey(key)
	var role identity.Role
	k, err := scanKey(also{s.db.QueryRowContext(ctx, `SELECT k.id, k.organization, k.member, k.name, k.prefix, k.hash, k.scopes, k.created,
		k.expires, k.revoked, k.last_used, m.role FROM api_keys k JOIN members m ON m.organization = k.organization AND m.id = k.member
		WHERE k.hash = $1`, hash[:]), &role})
	at := now()
	switch {
	case err != nil:
		return identity.Principal{}, s.failed(ctx, what, err)
	case !k.Usable(at):
		return identity.Principal{}, s.failed(ctx, what, ErrNotFound)
	}
	if at.Sub(k.LastUsed) > lastUsedEvery {
		before := micros(at.Add(-lastUsedEvery))
		_, err := s.db.ExecContext(ctx, `UPDATE api_keys SET last_used = $1 WHERE organization = $2 AND id = $3 AND (last_used IS NULL OR last_used < $4)`,
			micros(at), k.Organization, k.ID, before)
		if err != nil {
			// Who is let in does not depend on it.
			s.logger.Warn("the last use of an API key was not noted", "key", k.ID, "error", s.failed(ctx, "note the use", err))
		}
	}
	return k.Principal(role), nil
}

// also scans further columns of a row behind those that a scanning function knows.
type also struct {
	row
	dest any
}

func (a also) Scan(dest ...any) error { return a.row.Scan(append(dest, a.dest)...) }

func scanKey(r row) (identity.APIKey, error) {
	var k identity.APIKey
	var hash []byte
	var scopes string
	var created int64
	var expires, revoked, used sql.NullInt64
	err := r.Scan(&k.ID, &k.Organization, &k.User, &k.Name, &k.Prefix, &hash, &scopes, &created, &expires, &revoked, &used)
	if err != nil {
		return identity.APIKey{}, err
	}
	copy(k.Hash[:], hash)
	k.Created, k.Expires, k.Revoked, k.LastUsed = fromMicros(created), fromMaybe(expires), fromMaybe(revoked), fromMaybe(used)
	k.Scopes, err = identity.ParseScopes(scopes)
	return k, err
}
