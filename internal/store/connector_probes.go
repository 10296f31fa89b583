package store

import (
	"context"
	"database/sql"
	"time"

	"perdure/internal/connector"
	"perdure/internal/identity"
)

// RecordProbe notes what a look at a connector's server has come to: its status, and what was found if that is not nil. Version is the
// connector's when the look began. ErrConflict: it was changed since, so that the result says nothing of it any more.
func (s *Store) RecordProbe(ctx context.Context, organization, id string, version int64, status connector.Status, found *connector.Probe) error {
	return s.write(ctx, "record the probe", func(tx *sql.Tx) error {
		c, err := s.connector(ctx, tx, organization, id, s.engine.forUpdate())
		if err != nil {
			return err
		}
		if c.Version != version {
			return ErrConflict
		}
		c.Status = status
		if found != nil {
			c.Probe = c.Probe.Found(*found)
		}
		return updateProbe(ctx, tx, c)
	})
}

// ReviewTools counts the tools of a connector of the actor's organization as seen: those that the look at the given time found.
// ErrConflict: another look found others since.
func (s *Store) ReviewTools(ctx context.Context, by identity.Actor, id string, seen time.Time) error {
	return s.write(ctx, "review the tools", func(tx *sql.Tx) error {
		c, err := s.connector(ctx, tx, by.Organization, id, s.engine.forUpdate())
		if err != nil {
			return err
		}
		if !c.Probe.At.Equal(seen) {
			return ErrConflict
		}
		at := now()
		c.Probe = c.Probe.Review(by.User, at)
		if err := updateProbe(ctx, tx, c); err != nil {
			return err
		}
		return record(ctx, tx, by, at, entry{ActConnectorReview, id, nil})
	})
}

// VetConnector notes that an admin has looked at a connector of the actor's organization, as it was found at the given time and is in that
// version. ErrConflict: it is another by now.
func (s *Store) VetConnector(ctx context.Context, by identity.Actor, id string, version int64, seen time.Time) error {
	return s.write(ctx, "vet the connector", func(tx *sql.Tx) error {
		c, err := s.connector(ctx, tx, by.Organization, id, s.engine.forUpdate())
		if err != nil {
			return err
		}
		if c.Version != version || !c.Probe.At.Equal(seen) {
			return ErrConflict
		}
		at := now()
		vetting := c.Vet(by.User, at)
		c.Vetting = &vetting
		r, err := rowOf(c)
		if err != nil {
			return err
		}
		// The version stays: it is that of what people entered.
		_, err = tx.ExecContext(ctx, `UPDATE connectors SET vetting = $1 WHERE organization = $2 AND id = $3`, r.vetting, c.Organization, c.ID)
		if err != nil {
			return err
		}
		return record(ctx, tx, by, at, entry{ActConnectorVet, id, map[string]string{"url": withoutQuery(c.Settings.URL)}})
	})
}

// updateProbe leaves the version alone: what a machine finds is no change of what a person entered.
func updateProbe(ctx context.Context, q querier, c connector.Connector) error {
	r, err := rowOf(c)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `UPDATE connectors SET status = $1, probe = $2 WHERE organization = $3 AND id = $4`, r.status, r.probe, c.Organization, c.ID)
	return err
}
