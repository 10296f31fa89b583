package store

import (
	"context"
	"database/sql"
	"time"

	"perdure/internal/identity"
)

// AddMember adds a member to the actor's organization. ErrConflict: there is one of this ID or e-mail address.
func (s *Store) AddMember(ctx context.Context, by identity.Actor, id, email string, role identity.Role) (identity.User, error) {
	u := identity.User{Organization: by.Organization, ID: id, Email: email, Role: role, Created: now()}
	if err := u.Check(); err != nil {
		return identity.User{}, err
	}
	return u, s.write(ctx, "add the member", func(tx *sql.Tx) error { return insertMember(ctx, tx, by, u) })
}

func insertMember(ctx context.Context, tx *sql.Tx, by identity.Actor, u identity.User) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO members (organization, id, email, role, created) VALUES ($1, $2, $3, $4, $5)`,
		u.Organization, u.ID, sql.NullString{String: u.Email, Valid: u.Email != ""}, string(u.Role), micros(u.Created))
	if err != nil {
		return err
	}
	return record(ctx, tx, by, u.Created, entry{ActMemberAdd, u.ID, map[string]string{"role": string(u.Role)}})
}

const memberColumns = `organization, id, email, role, created`

// Member returns a member.
func (s *Store) Member(ctx context.Context, organization, id string) (identity.User, error) {
	u, err := scanMember(s.db.QueryRowContext(ctx, `SELECT `+memberColumns+` FROM members WHERE organization = $1 AND id = $2`, organization, id))
	return u, s.failed(ctx, "find the member", err)
}

// MemberByEmail returns the member with an e-mail address, in the form of [identity.ParseEmail].
func (s *Store) MemberByEmail(ctx context.Context, organization, email string) (identity.User, error) {
	u, err := scanMember(s.db.QueryRowContext(ctx, `SELECT `+memberColumns+` FROM members WHERE organization = $1 AND email = $2`, organization, email))
	return u, s.failed(ctx, "find the member", err)
}

// Members lists the members of an organization.
func (s *Store) Members(ctx context.Context, organization string, p Page) (members []identity.User, next string, err error) {
	return list(ctx, s, "list members", p, `SELECT `+memberColumns+` FROM members
		WHERE organization = $1 AND (created, id) < ($2, $3) ORDER BY created DESC, id DESC LIMIT $4`,
		[]any{organization}, scanMember, func(u identity.User) (time.Time, string) { return u.Created, u.ID })
}

func scanMember(r row) (identity.User, error) {
	var u identity.User
	var email sql.NullString
	var created int64
	if err := r.Scan(&u.Organization, &u.ID, &email, &u.Role, &created); err != nil {
		return identity.User{}, err
	}
	u.Email, u.Created = email.String, fromMicros(created)
	return u, nil
}

// SetRole gives a member of the actor's organization another role. The last admin stays one: ErrLastAdmin.
func (s *Store) SetRole(ctx context.Context, by identity.Actor, id string, role identity.Role) error {
	if _, err := identity.ParseRole(string(role)); err != nil {
		return err
	}
	return s.write(ctx, "change the member's role", func(tx *sql.Tx) error {
		err := s.keepAdmin(ctx, tx, by.Organization, func() error {
			return one(ctx, tx, ErrNotFound, `UPDATE members SET role = $1 WHERE organization = $2 AND id = $3`, string(role), by.Organization, id)
		})
		if err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActMemberRole, id, map[string]string{"role": string(role)}})
	})
}

// RemoveMember removes a member of the actor's organization with everything that is theirs alone: keys, sessions, grants, individual
// connectors. Organization connectors that they made stay. The last admin stays: ErrLastAdmin.
func (s *Store) RemoveMember(ctx context.Context, by identity.Actor, id string) error {
	return s.write(ctx, "remove the member", func(tx *sql.Tx) error {
		err := s.keepAdmin(ctx, tx, by.Organization, func() error {
			return one(ctx, tx, ErrNotFound, `DELETE FROM members WHERE organization = $1 AND id = $2`, by.Organization, id)
		})
		if err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM connectors WHERE organization = $1 AND owner = $2 AND scope = 'individual'`,
			`DELETE FROM grants WHERE organization = $1 AND member = $2`,
			`DELETE FROM authorizations WHERE organization = $1 AND authorized_by = $2`,
		} {
			if _, err := tx.ExecContext(ctx, statement, by.Organization, id); err != nil {
				return err
			}
		}
		return record(ctx, tx, by, now(), entry{ActMemberRemove, id, nil})
	})
}

// keepAdmin makes a change after which the organization has an admin if it had one before. Two admins who demote each other at the same
// time do it one after the other.
func (s *Store) keepAdmin(ctx context.Context, tx *sql.Tx, organization string, change func() error) error {
	var id string
	err := tx.QueryRowContext(ctx, `SELECT id FROM organizations WHERE id = $1`+s.engine.forUpdate(), organization).Scan(&id)
	if err != nil {
		return err
	}
	before, err := countAdmins(ctx, tx, organization)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := countAdmins(ctx, tx, organization)
	if err == nil && before > 0 && after == 0 {
		err = ErrLastAdmin
	}
	return err
}

func countAdmins(ctx context.Context, tx *sql.Tx, organization string) (n int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM members WHERE organization = $1 AND role = 'admin'`, organization).Scan(&n)
	return n, err
}
