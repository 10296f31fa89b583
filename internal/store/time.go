package store

import (
	"database/sql"
	"time"
)

// now is the time as it can be stored, so that what is returned is what is read later.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// micros is a time as a column holds it.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// maybeMicros is a time that may be zero, as a column that may be NULL holds it.
func maybeMicros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func fromMaybe(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return fromMicros(n.Int64)
}
