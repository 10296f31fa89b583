package connection

import (
	"errors"

	"perdure/internal/connector"
)

// together joins what is wrong with several parts of a form, so that a person hears of all of it at once. Another error goes first.
func together(errs ...error) error {
	var all connector.Invalid
	for _, err := range errs {
		var invalid connector.Invalid
		switch {
		case err == nil:
		case errors.As(err, &invalid):
			all = append(all, invalid...)
		default:
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
