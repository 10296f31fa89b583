package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"

	"perdure/internal/identity"
)

// CreateOrganization makes the organization that the actor acts in, with the actor's choice of settings.
func (s *Store) CreateOrganization(ctx context.Context, by identity.Actor, settings identity.OrganizationSettings) (identity.Organization, error) {
	if err := identity.CheckName(by.Organization); err != nil {
		return identity.Organization{}, err
	}
	o := identity.Organization{ID: by.Organization, Settings: settings, Created: now()}
	err := s.write(ctx, "create the organization", func(tx *sql.Tx) error { return insertOrganization(ctx, tx, by, o) })
	return o, err
}

func insertOrganization(ctx context.Context, tx *sql.Tx, by identity.Actor, o identity.Organization) error {
	settings, err := json.Marshal(o.Settings)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO organizations (id, settings, created) VALUES ($1, $2, $3)`, o.ID, string(settings), micros(o.Created))
	if err != nil {
		return err
	}
	return record(ctx, tx, by, o.Created, entry{ActOrganizationCreate, o.ID, nil})
}

// EnsureOrganization makes the actor's organization if it is not there. Keys of the configuration may name any.
func (s *Store) EnsureOrganization(ctx context.Context, by identity.Actor) (identity.Organization, error) {
	o, err := s.Organization(ctx, by.Organization)
	if !errors.Is(err, ErrNotFound) {
		return o, err
	}
	o, err = s.CreateOrganization(ctx, by, identity.OrganizationSettings{})
	if errors.Is(err, ErrConflict) { // another was faster
		return s.Organization(ctx, by.Organization)
	}
	return o, err
}

// Organization returns an organization.
func (s *Store) Organization(ctx context.Context, id string) (identity.Organization, error) {
	o, err := scanOrganization(s.db.QueryRowContext(ctx, `SELECT id, settings, created FROM organizations WHERE id = $1`, id))
	return o, s.failed(ctx, "find the organization", err)
}

func scanOrganization(r row) (identity.Organization, error) {
	var o identity.Organization
	var settings string
	var created int64
	if err := r.Scan(&o.ID, &settings, &created); err != nil {
		return identity.Organization{}, err
	}
	o.Created = fromMicros(created)
	return o, json.Unmarshal([]byte(settings), &o.Settings)
}

// UpdateOrganization gives the actor's organization other settings.
func (s *Store) UpdateOrganization(ctx context.Context, by identity.Actor, settings identity.OrganizationSettings) error {
	text, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	return s.write(ctx, "change the organization", func(tx *sql.Tx) error {
		err := one(ctx, tx, ErrNotFound, `UPDATE organizations SET settings = $1 WHERE id = $2`, string(text), by.Organization)
		if err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActOrganizationUpdate, by.Organization, map[string]string{
			"members_may_add_connectors": strconv.FormatBool(settings.MembersMayAddConnectors),
		}})
	})
}

// Bootstrap makes an organization with one admin, unless there is the organization. It reports whether it made them.
func (s *Store) Bootstrap(ctx context.Context, organization, admin string) (made bool, err error) {
	by := identity.Operator(organization)
	u := identity.User{Organization: organization, ID: admin, Role: identity.Admin, Created: now()}
	if err := errors.Join(identity.CheckName(organization), u.Check()); err != nil {
		return false, err
	}
	err = s.write(ctx, "make the first admin", func(tx *sql.Tx) error {
		if err := insertOrganization(ctx, tx, by, identity.Organization{ID: organization, Created: u.Created}); err != nil {
			return err
		}
		return insertMember(ctx, tx, by, u)
	})
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}
