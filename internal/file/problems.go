package file

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooLarge means that a file has more bytes than [Limits] allow.
var ErrTooLarge = errors.New("file: larger than uploads may be")

// maxProblems is how many problems of a file are told; the others are counted.
const maxProblems = 20

// Problem is what is wrong with a line.
type Problem struct {
	Row     int // from 1, blank lines counted, as editors do; 0 is the file as a whole
	Message string
}

// Invalid is the error of an upload that is not what it must be. Its text is for the client.
type Invalid struct {
	Problems []Problem
	More     int // further lines with problems
}

// Error names the lines.
func (e *Invalid) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.Message
		if p.Row > 0 {
			texts[i] = fmt.Sprintf("line %d: %s", p.Row, p.Message)
		}
	}
	text := strings.Join(texts, "; ")
	switch e.More {
	case 0:
		return text
	case 1:
		return text + "; and 1 more line has a problem"
	default:
		return fmt.Sprintf("%s; and %d more lines have problems", text, e.More)
	}
}

// add notes a problem.
func (e *Invalid) add(row int, format string, args ...any) {
	if len(e.Problems) == maxProblems {
		e.More++
		return
	}
	e.Problems = append(e.Problems, Problem{row, fmt.Sprintf(format, args...)})
}

// orNil is e as an error, if there is any problem.
func (e *Invalid) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// Field is the error of a Draft's field. Its text is for the client.
type Field struct{ Name, Message string }

func (e *Field) Error() string { return e.Name + ": " + e.Message }
