package ui

import (
	"perdure/internal/responses"
	"perdure/starter"
)

// mark is a word with the color that helps it.
type mark struct{ Name, Text, Class string }

// statusMark shows the status of a response.
func statusMark(status string) mark {
	switch status {
	case responses.ResponseQueued:
		return mark{status, "Queued", "live"}
	case responses.ResponseInProgress:
		return mark{status, "Running", "live"}
	case responses.ResponseCompleted:
		return mark{status, "Completed", "good"}
	case responses.ResponseIncomplete:
		return mark{status, "Incomplete", "warn"}
	case responses.ResponseFailed:
		return mark{status, "Failed", "bad"}
	case responses.ResponseCancelled:
		return mark{status, "Cancelled", ""}
	default:
		return mark{status, status, ""}
	}
}

// stateMark shows how a step stands.
func stateMark(s *starter.Step) mark {
	switch s.State {
	case starter.StepWaiting:
		return mark{string(s.State), "waiting for a worker", "warn"}
	case starter.StepRunning:
		return mark{string(s.State), "running", "live"}
	case starter.StepRetrying:
		return mark{string(s.State), "waiting to try again", "warn"}
	case starter.StepPaused:
		return mark{string(s.State), "paused by an operator", "warn"}
	case starter.StepFailed:
		if s.OutcomeUnknown {
			return mark{"unknown", "outcome unknown", "warn"}
		}
		return mark{string(s.State), "failed", "bad"}
	case starter.StepCancelled:
		return mark{string(s.State), "cancelled", ""}
	case starter.StepHandedOn:
		return mark{string(s.State), "went on", ""}
	default:
		return mark{string(s.State), "done", "good"}
	}
}
