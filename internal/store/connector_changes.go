package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"perdure/internal/connector"
	"perdure/internal/identity"
)

// UpdateConnector stores a change that [connector.Connector.Apply] made. It returns the connector as it is then. ErrConflict: somebody
// else changed it since it was read.
func (s *Store) UpdateConnector(ctx context.Context, by identity.Actor, change connector.Change) (connector.Connector, error) {
	c := change.Connector
	r, err := rowOf(c)
	if err != nil {
		return connector.Connector{}, err
	}
	err = s.write(ctx, "change the connector", func(tx *sql.Tx) error {
		before, err := s.connector(ctx, tx, by.Organization, c.ID, s.engine.forUpdate())
		if err != nil {
			return err
		}
		if before.Version != c.Version {
			return ErrConflict
		}
		_, err = tx.ExecContext(ctx, `UPDATE connectors SET settings = $1, status = $2, probe = $3, updated = $4, version = version + 1
			WHERE organization = $5 AND id = $6`, r.settings, r.status, r.probe, micros(c.Updated), by.Organization, c.ID)
		if err != nil {
			return err
		}
		c.Version++
		if err := s.storeSecrets(ctx, tx, before, change.Given); err != nil {
			return err
		}
		for _, name := range change.Dropped {
			_, err := tx.ExecContext(ctx, `DELETE FROM connector_secrets WHERE organization = $1 AND connector = $2 AND name = $3`,
				by.Organization, c.ID, string(name))
			if err != nil {
				return err
			}
		}
		if change.Regrant {
			if err := forgetGrants(ctx, tx, by.Organization, c.ID); err != nil {
				return err
			}
		}
		return record(ctx, tx, by, c.Updated, entry{ActConnectorUpdate, c.ID, updateDetail(before, change)})
	})
	return c, err
}

// updateDetail says what a reader of the log would want to know: names of secrets, and no values.
func updateDetail(before connector.Connector, change connector.Change) map[string]string {
	detail := map[string]string{"name": change.Connector.Settings.Name}
	if url := withoutQuery(change.Connector.Settings.URL); url != withoutQuery(before.Settings.URL) {
		detail["url"], detail["url_before"] = url, withoutQuery(before.Settings.URL)
	}
	if len(change.Given) > 0 {
		var names []string
		for name := range change.Given {
			names = append(names, string(name))
		}
		slices.Sort(names)
		detail["secrets_set"] = strings.Join(names, ",")
	}
	if change.Regrant {
		detail["grants"] = "deleted"
	}
	return detail
}

// forgetGrants deletes grants, and authorizations under way, that were for other settings.
func forgetGrants(ctx context.Context, q querier, organization, id string) error {
	for _, statement := range []string{
		`DELETE FROM grants WHERE organization = $1 AND connector = $2`,
		`DELETE FROM authorizations WHERE organization = $1 AND connector = $2`,
	} {
		if _, err := q.ExecContext(ctx, statement, organization, id); err != nil {
			return err
		}
	}
	return nil
}

// ShareConnector shares an organization connector, or takes that back.
func (s *Store) ShareConnector(ctx context.Context, by identity.Actor, id string, shared bool) error {
	action := ActConnectorUnshare
	if shared {
		action = ActConnectorShare
	}
	return s.flip(ctx, by, entry{action, id, nil}, `shared = $1`, shared)
}

// EnableConnector enables a connector, or disables it.
func (s *Store) EnableConnector(ctx context.Context, by identity.Actor, id string, enabled bool) error {
	action := ActConnectorDisable
	if enabled {
		action = ActConnectorEnable
	}
	return s.flip(ctx, by, entry{action, id, nil}, `enabled = $1`, enabled)
}

// RestrictConnector keeps a connector from being used, for a reason that its owner gets to see.
func (s *Store) RestrictConnector(ctx context.Context, by identity.Actor, id, reason string) error {
	r, err := rowOf(connector.Connector{Restricted: &connector.Restriction{By: by.User, Reason: reason, At: now()}})
	if err != nil {
		return err
	}
	return s.flip(ctx, by, entry{ActConnectorRestrict, id, map[string]string{"reason": reason}}, `restricted = $1`, r.restricted)
}

// UnrestrictConnector takes a restriction back.
func (s *Store) UnrestrictConnector(ctx context.Context, by identity.Actor, id string) error {
	return s.flip(ctx, by, entry{ActConnectorUnrestrict, id, nil}, `restricted = $1`, sql.NullString{})
}

// flip changes one column of a connector of the actor's organization.
func (s *Store) flip(ctx context.Context, by identity.Actor, e entry, set string, value any) error {
	return s.write(ctx, "change the connector", func(tx *sql.Tx) error {
		at := now()
		err := one(ctx, tx, ErrNotFound, `UPDATE connectors SET `+set+`, updated = $2, version = version + 1 WHERE organization = $3 AND id = $4`,
			value, micros(at), by.Organization, e.target)
		if err != nil {
			return err
		}
		return record(ctx, tx, by, at, e)
	})
}

// SetIcon gives a connector of the actor's organization another icon; one without PNG takes it away.
func (s *Store) SetIcon(ctx context.Context, by identity.Actor, id string, icon connector.Icon) error {
	return s.write(ctx, "change the connector's icon", func(tx *sql.Tx) error {
		at := now()
		err := one(ctx, tx, ErrNotFound, `UPDATE connectors SET icon = $1, updated = $2, version = version + 1 WHERE organization = $3 AND id = $4`,
			icon.Hash, micros(at), by.Organization, id)
		if err != nil {
			return err
		}
		if err := storeIcon(ctx, tx, connector.Connector{Organization: by.Organization, ID: id}, icon); err != nil {
			return err
		}
		return record(ctx, tx, by, at, entry{ActConnectorIcon, id, nil})
	})
}

func storeIcon(ctx context.Context, q querier, c connector.Connector, icon connector.Icon) error {
	if len(icon.PNG) == 0 {
		_, err := q.ExecContext(ctx, `DELETE FROM connector_icons WHERE organization = $1 AND connector = $2`, c.Organization, c.ID)
		return err
	}
	_, err := q.ExecContext(ctx, `INSERT INTO connector_icons (organization, connector, png) VALUES ($1, $2, $3)
		ON CONFLICT (organization, connector) DO UPDATE SET png = excluded.png`, c.Organization, c.ID, icon.PNG)
	return err
}

// Icon returns the icon of a connector, a PNG. ErrNotFound: there is none.
func (s *Store) Icon(ctx context.Context, organization, id string) (png []byte, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT png FROM connector_icons WHERE organization = $1 AND connector = $2`, organization, id).Scan(&png)
	return png, s.failed(ctx, "find the connector's icon", err)
}
