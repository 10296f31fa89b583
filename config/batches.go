package config

// Batches bounds how much of the system batches may use.
type Batches struct {
	Concurrency       int `mapstructure:"concurrency"`        // lines of one batch that run at the same time
	TenantConcurrency int `mapstructure:"tenant_concurrency"` // the same of all batches of an organization
	UnderWay          int `mapstructure:"under_way"`          // batches of an organization that have not ended
	HistoryEvents     int `mapstructure:"history_events"`     // of one execution of a batch's workflow
}

const (
	leastHistory = 200
	mostHistory  = 9_000
)

// mostConcurrent keeps what the lines under way bring within the history of one execution of a batch's workflow.
const mostConcurrent = 500

func (b Batches) validate(v *validation) {
	if b.Concurrency < 1 || b.Concurrency > mostConcurrent {
		v.report("batches.concurrency", "must be between 1 and %d", mostConcurrent)
	}
	v.atLeast("batches.tenant_concurrency", int64(b.TenantConcurrency), 1)
	v.atLeast("batches.under_way", int64(b.UnderWay), 1)
	if b.HistoryEvents < leastHistory || b.HistoryEvents > mostHistory {
		v.report("batches.history_events", "must be between %d and %d", leastHistory, mostHistory)
	}
}
