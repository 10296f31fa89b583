package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"math"
	"time"

	"perdure/internal/identity"
)

// The actions of the audit log. They are stored: they never change.
const (
	ActOrganizationCreate  = "organization.create"
	ActOrganizationUpdate  = "organization.update"
	ActMemberAdd           = "member.add"
	ActMemberRole          = "member.role"
	ActMemberRemove        = "member.remove"
	ActKeyCreate           = "key.create"
	ActKeyRevoke           = "key.revoke"
	ActSessionStart        = "session.start"
	ActSessionEnd          = "session.end"
	ActConnectorCreate     = "connector.create"
	ActConnectorUpdate     = "connector.update"
	ActConnectorIcon       = "connector.icon"
	ActConnectorShare      = "connector.share"
	ActConnectorUnshare    = "connector.unshare"
	ActConnectorEnable     = "connector.enable"
	ActConnectorDisable    = "connector.disable"
	ActConnectorRestrict   = "connector.restrict"
	ActConnectorUnrestrict = "connector.unrestrict"
	ActConnectorReview     = "connector.review"
	ActConnectorVet        = "connector.vet"
	ActConnectorDelete     = "connector.delete"
	ActGrantCreate         = "grant.create"
	ActGrantDelete         = "grant.delete"
	ActBatchCreate         = "batch.create"
	ActBatchPause          = "batch.pause"
	ActBatchResume         = "batch.resume"
	ActBatchCancel         = "batch.cancel"
	ActFileCreate          = "file.create"
	ActFileDelete          = "file.delete"
	ActResponseCancel      = "response.cancel"
	ActResponseDelete      = "response.delete"
)

// entry is an event before it has an ID and a time.
type entry struct {
	action, target string
	detail         map[string]string
}

// record logs an event within the transaction that makes it true.
func record(ctx context.Context, q querier, by identity.Actor, at time.Time, e entry) error {
	detail, err := json.Marshal(e.detail)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO audit (id, organization, at, actor, actor_key, address, action, target, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		"evt_"+rand.Text(), by.Organization, micros(at), by.User, by.Key, by.Address, e.action, e.target, string(detail))
	return err
}

// Record logs something that changes nothing in the store, such as an attempt that was denied. The detail must hold no secret.
func (s *Store) Record(ctx context.Context, by identity.Actor, action, target string, detail map[string]string) error {
	return s.failed(ctx, "log "+action, record(ctx, s.db, by, now(), entry{action, target, detail}))
}

// EventFilter narrows the audit log. What is empty or zero does not.
type EventFilter struct {
	// Action is one action, such as "key.create", or with a dot at its end all that begin so, such as "key.".
	Action string
	User   string // who did it
	Target string // the ID of what it was done to
	// From and Before bound when it was: from the one on, until before the other.
	From, Before time.Time
}

// Events is the audit log of an organization.
func (s *Store) Events(ctx context.Context, organization string, f EventFilter, p Page) (events []identity.Event, next string, err error) {
	before := int64(math.MaxInt64)
	if !f.Before.IsZero() {
		before = micros(f.Before)
	}
	from := int64(math.MinInt64)
	if !f.From.IsZero() {
		from = micros(f.From)
	}
	return list(ctx, s, "list events", p, `SELECT id, organization, at, actor, actor_key, address, action, target, detail FROM audit
		WHERE organization = $1 AND ($2 = '' OR action = $2 OR ($2 LIKE '%.' AND substr(action, 1, length($2)) = $2))
		AND ($3 = '' OR actor = $3) AND ($4 = '' OR target = $4) AND at >= $5 AND at < $6 AND (at, id) < ($7, $8) ORDER BY at DESC, id DESC LIMIT $9`,
		[]any{organization, f.Action, f.User, f.Target, from, before}, scanEvent, func(e identity.Event) (time.Time, string) { return e.At, e.ID })
}

func scanEvent(r row) (identity.Event, error) {
	var e identity.Event
	var at int64
	var detail string
	err := r.Scan(&e.ID, &e.Actor.Organization, &at, &e.Actor.User, &e.Actor.Key, &e.Actor.Address, &e.Action, &e.Target, &detail)
	if err != nil {
		return identity.Event{}, err
	}
	e.At = fromMicros(at)
	return e, json.Unmarshal([]byte(detail), &e.Detail)
}
