package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"perdure/internal/connector"
	"perdure/internal/identity"
)

// CreateConnector stores a connector that [connector.New] made, with its secrets, for the actor's organization. ErrNotFound: there is no
// such organization.
func (s *Store) CreateConnector(ctx context.Context, by identity.Actor, change connector.Change, icon connector.Icon) (connector.Connector, error) {
	c := change.Connector
	c.Organization, c.Icon = by.Organization, icon.Hash
	r, err := rowOf(c)
	if err != nil {
		return connector.Connector{}, err
	}
	return c, s.write(ctx, "add the connector", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO connectors (id, organization, owner, scope, settings, icon, shared, enabled, restricted,
			status, probe, created, updated, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			c.ID, c.Organization, c.Owner, string(c.Settings.Scope), r.settings, c.Icon, c.Shared, c.Enabled, r.restricted,
			r.status, r.probe, micros(c.Created), micros(c.Updated), c.Version)
		if err != nil {
			return err
		}
		if err := s.storeSecrets(ctx, tx, c, change.Given); err != nil {
			return err
		}
		if err := storeIcon(ctx, tx, c, icon); err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActConnectorCreate, c.ID, map[string]string{
			"name": c.Settings.Name, "scope": string(c.Settings.Scope), "url": withoutQuery(c.Settings.URL),
		}})
	})
}

// withoutQuery leaves out where people put keys.
func withoutQuery(url string) string {
	base, _, _ := strings.Cut(url, "?")
	return base
}

// connectorColumns end with the names of the stored secrets. No name has a line break.
const connectorColumns = `c.id, c.organization, c.owner, c.settings, c.icon, c.shared, c.enabled, c.restricted, c.vetting, c.status, c.probe,
	c.created, c.updated, c.version, (SELECT string_agg(x.name, '
') FROM connector_secrets x WHERE x.organization = c.organization AND x.connector = c.id)`

// Connector returns a connector of an organization. Whether a caller may know of it is for [connector.May] to say.
func (s *Store) Connector(ctx context.Context, organization, id string) (connector.Connector, error) {
	c, err := s.connector(ctx, s.db, organization, id, "")
	return c, s.failed(ctx, "find the connector", err)
}

func (s *Store) connector(ctx context.Context, q querier, organization, id, suffix string) (connector.Connector, error) {
	return scanConnector(q.QueryRowContext(ctx, `SELECT `+connectorColumns+` FROM connectors c WHERE c.organization = $1 AND c.id = $2`+suffix,
		organization, id))
}

// ConnectorFilter chooses among the connectors that a caller sees. What is empty chooses all.
type ConnectorFilter struct {
	Scope connector.Scope
	Owner string
}

// Connectors lists the connectors that a caller sees, by the rule of [connector.Sees].
func (s *Store) Connectors(ctx context.Context, p identity.Principal, f ConnectorFilter, page Page) (all []connector.Connector, next string, err error) {
	return list(ctx, s, "list connectors", page, `SELECT `+connectorColumns+` FROM connectors c WHERE c.organization = $1
		AND ($2 = 'admin' OR c.scope = 'individual' AND c.owner = $3 OR c.scope = 'organization' AND c.shared)
		AND ($4 = '' OR c.scope = $4) AND ($5 = '' OR c.owner = $5)
		AND (c.created, c.id) < ($6, $7) ORDER BY c.created DESC, c.id DESC LIMIT $8`,
		[]any{p.Organization, string(p.Role), p.User, string(f.Scope), f.Owner}, scanConnector,
		func(c connector.Connector) (time.Time, string) { return c.Created, c.ID })
}

// connectorRow is those columns of a connector that hold JSON.
type connectorRow struct {
	settings, status, probe string
	restricted, vetting     sql.NullString
}

func rowOf(c connector.Connector) (r connectorRow, err error) {
	encode := func(v any) string {
		text, e := json.Marshal(v)
		if e != nil {
			err = e
		}
		return string(text)
	}
	r = connectorRow{settings: encode(c.Settings), status: encode(c.Status), probe: encode(c.Probe)}
	if c.Restricted != nil {
		r.restricted = sql.NullString{String: encode(c.Restricted), Valid: true}
	}
	if c.Vetting != nil {
		r.vetting = sql.NullString{String: encode(c.Vetting), Valid: true}
	}
	return r, err
}

func scanConnector(from row) (connector.Connector, error) {
	var c connector.Connector
	var r connectorRow
	var created, updated int64
	var stored sql.NullString
	err := from.Scan(&c.ID, &c.Organization, &c.Owner, &r.settings, &c.Icon, &c.Shared, &c.Enabled, &r.restricted, &r.vetting, &r.status, &r.probe,
		&created, &updated, &c.Version, &stored)
	if err != nil {
		return connector.Connector{}, err
	}
	c.Created, c.Updated = fromMicros(created), fromMicros(updated)
	c.Stored = splitNames(stored.String)
	err = errors.Join(json.Unmarshal([]byte(r.settings), &c.Settings), json.Unmarshal([]byte(r.status), &c.Status), json.Unmarshal([]byte(r.probe), &c.Probe))
	if r.restricted.Valid {
		err = errors.Join(err, json.Unmarshal([]byte(r.restricted.String), &c.Restricted))
	}
	if r.vetting.Valid {
		err = errors.Join(err, json.Unmarshal([]byte(r.vetting.String), &c.Vetting))
	}
	return c, err
}

// DeleteConnector deletes a connector of the actor's organization, with its secrets and grants. Tokens that should end at the
// authorization server are to be revoked before.
func (s *Store) DeleteConnector(ctx context.Context, by identity.Actor, id string) error {
	return s.write(ctx, "delete the connector", func(tx *sql.Tx) error {
		c, err := s.connector(ctx, tx, by.Organization, id, s.engine.forUpdate())
		if err != nil {
			return err
		}
		err = one(ctx, tx, ErrNotFound, `DELETE FROM connectors WHERE organization = $1 AND id = $2`, by.Organization, id)
		if err != nil {
			return err
		}
		return record(ctx, tx, by, now(), entry{ActConnectorDelete, id, map[string]string{"name": c.Settings.Name, "owner": c.Owner}})
	})
}
