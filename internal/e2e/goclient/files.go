package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/openai/openai-go/v3"
)

// commandFile is a file to upload, or one that is there.
type commandFile struct {
	ID       string `json:"id"`
	Filename string `json:"filename"`
	Content  string `json:"content"`
}

// fileParams are what the body of a command says of an upload.
type fileParams struct {
	Purpose string                            `json:"purpose"`
	Expires *openai.FileNewParamsExpiresAfter `json:"expires_after"`
}

// file does what is to be done with files.
func (a *answer) file(ctx context.Context, api openai.FileService, do string, c command) error {
	switch do {
	case "create":
		var params fileParams
		if err := json.Unmarshal(c.Body, &params); err != nil {
			return err
		}
		upload := openai.FileNewParams{
			File:    openai.File(strings.NewReader(c.File.Content), c.File.Filename, "application/jsonl"),
			Purpose: openai.FilePurpose(params.Purpose),
		}
		if params.Expires != nil {
			upload.ExpiresAfter = *params.Expires
		}
		return a.keepFile(api.New(ctx, upload, c.options()...))
	case "retrieve":
		return a.keepFile(api.Get(ctx, c.File.ID, c.options()...))
	case "list":
		query := openai.FileListParams{Order: openai.FileListParamsOrder(c.Query.Order)}
		if c.Query.Limit > 0 {
			query.Limit = openai.Int(c.Query.Limit)
		}
		if c.Query.Purpose != "" {
			query.Purpose = openai.String(c.Query.Purpose)
		}
		pages := api.ListAutoPaging(ctx, query, c.options()...)
		for pages.Next() {
			a.Items = append(a.Items, json.RawMessage(pages.Current().RawJSON()))
		}
		return pages.Err()
	case "content":
		r, err := api.Content(ctx, c.File.ID, c.options()...)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		a.OutputText = string(text)
		return err
	case "delete":
		r, err := api.Delete(ctx, c.File.ID, c.options()...)
		if err != nil {
			return err
		}
		a.Response = json.RawMessage(r.RawJSON())
		return nil
	default:
		return errors.New("this client cannot " + do + " a file")
	}
}

func (a *answer) keepFile(f *openai.FileObject, err error) error {
	if err != nil {
		return err
	}
	a.Response = json.RawMessage(f.RawJSON())
	return nil
}
