package e2e

import (
	"fmt"
	"net/http"

	"perdure/internal/modeltest"
)

// modelReply is one answer of a scenario's model: model/N.json. It says something, or fails in one of three ways.
type modelReply struct {
	Reasoning string      `json:"reasoning"`
	Text      string      `json:"text"`
	Refusal   string      `json:"refusal"`
	Calls     []modelCall `json:"calls"`
	Finish    string      `json:"finish"` // the finish_reason, where it is not the usual one
	// Usage are the tokens of the input, those of it that were cached, and the tokens of the output.
	Usage *[3]int `json:"usage"`

	Empty bool `json:"empty"`
	// TruncateAfter is the number of chunks after which the connection breaks.
	TruncateAfter int `json:"truncate_after"`
	// Status is an HTTP status, with a body and the seconds of a Retry-After header.
	Status     int    `json:"status"`
	Body       string `json:"body"`
	RetryAfter string `json:"retry_after"`
}

type modelCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func (m modelReply) reply() (modeltest.Reply, error) {
	var r modeltest.Reply
	switch {
	case m.Status != 0:
		header := http.Header{}
		if m.RetryAfter != "" {
			header.Set("Retry-After", m.RetryAfter)
		}
		return modeltest.Status(m.Status, header, m.Body), nil
	case m.Empty:
		return modeltest.Empty(), nil
	case len(m.Calls) > 0:
		var calls []modeltest.Call
		for _, c := range m.Calls {
			calls = append(calls, modeltest.Call{ID: c.ID, Name: c.Name, Arguments: c.Arguments})
		}
		r = modeltest.Calls(calls...).WithText(m.Text)
	case m.Text != "" || m.Refusal != "" || m.Reasoning != "":
		r = modeltest.Text(m.Text)
	default:
		return r, fmt.Errorf("the reply says nothing; if that is meant, write \"empty\": true")
	}
	r = r.WithReasoning(m.Reasoning).WithRefusal(m.Refusal)
	if m.Finish != "" {
		r = r.WithFinish(m.Finish)
	}
	if m.Usage != nil {
		r = r.WithUsage(m.Usage[0], m.Usage[1], m.Usage[2])
	}
	if m.TruncateAfter > 0 {
		r = r.TruncateAfter(m.TruncateAfter)
	}
	return r, nil
}
