package starter

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/store"
)

// maxGetBody bounds the body that some SDKs send with a GET.
const maxGetBody = 64 << 10

// getResponse answers with a response as it is now, or with its events.
func (s *Starter) getResponse(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	var body []byte
	if r.ContentLength != 0 { // else the deadline for the body would be one for the answer
		var err error
		if body, err = s.readUpTo(w, r, r.Body, maxGetBody); err != nil {
			return err
		}
	}
	events, after, err := readGet(r.URL.Query(), body)
	if err != nil {
		return err
	}
	e, err := s.stored(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	if events {
		return s.streamStored(w, r, e, after)
	}
	memory := s.memory(who)
	defer memory.done()
	response, err := s.load(r.Context(), e, memory)
	if err != nil {
		return err
	}
	return s.answer(w, r, response)
}

// readGet reads whether events are wanted, and after which. OpenAI's SDK for Go says so in a body, the others in the query.
func readGet(query url.Values, body []byte) (events bool, after int, err error) {
	in := struct {
		Stream        *bool `json:"stream"`
		StartingAfter *int  `json:"starting_after"`
	}{}
	if len(body) > 0 && json.Unmarshal(body, &in) != nil {
		return false, 0, responses.Invalid("", `the body of a GET must be a JSON object such as {"stream":true}`)
	}
	if value := query.Get("stream"); value != "" {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return false, 0, responses.Invalid("stream", "must be true or false")
		}
		in.Stream = &b
	}
	if value := query.Get("starting_after"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil {
			return false, 0, responses.Invalid("starting_after", "must be the sequence_number of an event")
		}
		in.StartingAfter = &n
	}
	after = -1
	if in.StartingAfter != nil {
		if after = *in.StartingAfter; after < 0 {
			return false, 0, responses.Invalid("starting_after", "must not be negative")
		}
	}
	return in.Stream != nil && *in.Stream, after, nil
}

// cancelResponse asks a run to end, and answers in the words of the API that it was asked through.
func (s *Starter) cancelResponse(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	e, err := s.stored(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	id := e.response.ID
	agent := isAgentPath(r)
	if e.running {
		err := s.cancelRun(r.Context(), id)
		if err != nil && !hasEnded(err) {
			return err
		}
		if err == nil {
			s.note(r, who, store.ActResponseCancel, id, e.user)
		}
	} else if agent {
		return responses.Invalid("", "the response %q has ended; there is nothing to cancel", id)
	}
	if agent {
		return s.writeValue(w, r, map[string]string{"response_id": id, "status": "cancelling"})
	}
	return s.answerCancelled(w, r, e)
}

// answerCancelled waits for the end of a cancelled run, which takes a moment, and answers with the response.
func (s *Starter) answerCancelled(w http.ResponseWriter, r *http.Request, e *envelope) error {
	end, err := s.await(r.Context(), s.Temporal.GetWorkflow(r.Context(), e.response.ID, ""))
	if err != nil {
		return err
	}
	response, err := s.complete(r.Context(), e.response, end.outcome, nil)
	if err != nil {
		return err
	}
	wire, err := response.MarshalWire(s.dialect(r))
	if err != nil {
		return err
	}
	// Perplexity's SDK asks here, too, and looks for the ID under this name.
	s.writeJSON(w, r, http.StatusOK, append([]byte(`{"response_id":"`+response.ID+`",`), wire[1:]...))
	return nil
}

// deleteResponse removes a response and its events. A run under way is ended.
func (s *Starter) deleteResponse(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	if err := s.removeRun(r, who, id); err != nil {
		return err
	}
	return s.writeValue(w, r, map[string]any{"id": id, "object": "response", "deleted": true})
}

func (s *Starter) writeValue(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.writeJSON(w, r, http.StatusOK, body)
	return nil
}
