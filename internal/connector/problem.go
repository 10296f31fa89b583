package connector

import (
	"fmt"
	"strings"
)

// A Problem is something that a person entered wrongly: the member that it is in, in the API's words, and what to do about it. Neither
// holds a value that may be secret.
type Problem struct {
	Param   string
	Message string
}

// Invalid is everything that is wrong with what a person entered, in the order of the form. It is an error if it has any.
type Invalid []Problem

// Error lists the problems, one a line.
func (v Invalid) Error() string {
	lines := make([]string, len(v))
	for i, p := range v {
		lines[i] = p.Param + ": " + p.Message
	}
	return strings.Join(lines, "\n")
}

func (v *Invalid) report(param, format string, args ...any) {
	*v = append(*v, Problem{Param: param, Message: fmt.Sprintf(format, args...)})
}

// err returns nil if there is no problem; a nil Invalid in an error would not be nil.
func (v Invalid) err() error {
	if len(v) == 0 {
		return nil
	}
	return v
}
