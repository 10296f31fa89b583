package starter

import (
	"encoding/json"
	"net/http"
)

// modelEntry is a model as OpenAI's list of models shows it.
type modelEntry struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// listModels needs no key, as at Perplexity: it tells only what the operator configured to be used.
func (s *Starter) listModels(w http.ResponseWriter, r *http.Request) error {
	list := struct {
		Object string       `json:"object"`
		Data   []modelEntry `json:"data"`
	}{Object: "list", Data: []modelEntry{}}
	for _, ref := range s.Catalog.Models() {
		list.Data = append(list.Data, modelEntry{ID: ref.String(), Object: "model", OwnedBy: ref.Provider})
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	s.writeJSON(w, r, http.StatusOK, body)
	return nil
}
