package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/openai/openai-go/v3"
)

// batchParams are what the body of a command says of a batch.
type batchParams struct {
	InputFileID      string            `json:"input_file_id"`
	Endpoint         string            `json:"endpoint"`
	CompletionWindow string            `json:"completion_window"`
	Metadata         map[string]string `json:"metadata"`
}

// batch does what is to be done with batches.
func (a *answer) batch(ctx context.Context, api openai.BatchService, do string, c command) error {
	switch do {
	case "create":
		var params batchParams
		if err := json.Unmarshal(c.Body, &params); err != nil {
			return err
		}
		return a.keepBatch(api.New(ctx, openai.BatchNewParams{
			InputFileID: params.InputFileID, Endpoint: openai.BatchNewParamsEndpoint(params.Endpoint),
			CompletionWindow: openai.BatchNewParamsCompletionWindow(params.CompletionWindow), Metadata: params.Metadata,
		}, c.options()...))
	case "retrieve":
		return a.keepBatch(api.Get(ctx, c.BatchID, c.options()...))
	case "cancel":
		return a.keepBatch(api.Cancel(ctx, c.BatchID, c.options()...))
	case "list":
		pages := api.ListAutoPaging(ctx, openai.BatchListParams{Limit: openai.Int(c.Query.Limit)}, c.options()...)
		for pages.Next() {
			a.Items = append(a.Items, json.RawMessage(pages.Current().RawJSON()))
		}
		return pages.Err()
	default:
		return errors.New("this client cannot " + do + " a batch")
	}
}

func (a *answer) keepBatch(b *openai.Batch, err error) error {
	if err != nil {
		return err
	}
	a.Response = json.RawMessage(b.RawJSON())
	return nil
}
