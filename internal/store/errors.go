package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// The kinds of failure that callers tell apart. Everything else is a defect. None holds a secret.
var (
	// ErrNotFound: there is no such thing in this organization.
	ErrNotFound = errors.New("not found")
	// ErrConflict: another has it already, or changed it meanwhile.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: the database does not answer, or is busy; it may be tried again.
	ErrUnavailable = errors.New("the database is not available")
	// ErrLastAdmin is an ErrConflict: an organization keeps one admin.
	ErrLastAdmin = fmt.Errorf("%w: the organization would have no admin: make another member an admin first", ErrConflict)
	// ErrExpired is an ErrNotFound: it was there, and its time is over.
	ErrExpired = fmt.Errorf("%w: it has expired", ErrNotFound)
	// ErrCursor: a page cannot begin there, since the cursor is not one that a list gave out.
	ErrCursor = errors.New("not a cursor that a list gave out")
)

// failed says what was to be done when err came up, and gives err a kind. It returns nil for nil.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		// Drivers have words of their own for a caller who gave up.
		return fmt.Errorf("store: %s: %w", what, ctx.Err())
	case isNone(err):
		return fmt.Errorf("store: %s: %w", what, ErrNotFound)
	case isKind(err):
		return fmt.Errorf("store: %s: %w", what, err)
	case errors.Is(err, sql.ErrConnDone):
		return fmt.Errorf("store: %s: %w: %w", what, ErrUnavailable, err)
	}
	if kind := s.engine.classify(err); kind != nil {
		return fmt.Errorf("store: %s: %w: %w", what, kind, err)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

func isKind(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrCursor)
}
