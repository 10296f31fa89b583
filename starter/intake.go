package starter

import (
	"context"

	"perdure/internal/responses"
	"perdure/internal/store"
)

// Intake makes a run of a request: it decodes, validates and translates, whoever asks. The API is built on it, and workers have it as
// the first step of the runs that others than the API have started; see [Intake.Accept].
type Intake struct {
	Options
	gates gates
	// Store has organizations, members, keys and connectors; nil without Connections.
	Store *store.Store
}

// NewIntake returns an intake that asks Temporal whether it is there, when in doubt, until ctx ends. Of the options it needs those that
// are not about HTTP: the others may be left out, which are Keys, KeyLimits, SignIn, Codec, Events, EventAge and Eager.
func NewIntake(ctx context.Context, o Options) *Intake {
	k := &Intake{Options: o}
	k.gates = newGates(ctx, k)
	if o.Connections != nil {
		k.Store = o.Connections.Store
	}
	return k
}

// ownDialect is the one of /v1/responses.
func (k *Intake) ownDialect() responses.Dialect {
	if k.Dialect == "" {
		return responses.DialectAgent
	}
	return k.Dialect
}
