// Command goclient is a client of github.com/openai/openai-go that does what the end-to-end tests tell it: each line of standard
// input is a command, each line of standard output the answer to one, both in JSON. Commands run at the same time; an answer has
// the ID of its command. Its siblings for npm's libraries are in ../npm/clients.
//
// It is a module of its own, so that the product's does not get the dependencies of a library that only tests use.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

const maxCommandBytes = 1 << 20

type command struct {
	ID            int               `json:"id"`
	Do            string            `json:"do"`
	Body          json.RawMessage   `json:"body"`
	ResponseID    string            `json:"response_id"`
	BatchID       string            `json:"batch_id"`
	StartingAfter *int64            `json:"starting_after"`
	StopAfter     *int64            `json:"stop_after"` // the connection is cut after this event
	Query         listQuery         `json:"query"`
	Headers       map[string]string `json:"headers"`
	BaseURL       string            `json:"base_url"`
	File          commandFile       `json:"file"`
	MaxRetries    int               `json:"max_retries"`
}

type listQuery struct {
	Limit int64  `json:"limit"`
	Order string `json:"order"`
	After string `json:"after"`

	Purpose string `json:"purpose"`
}

// answer is what the library made of a command.
type answer struct {
	ID         int               `json:"id"`
	Response   json.RawMessage   `json:"response,omitempty"`
	OutputText string            `json:"output_text"`
	Events     []json.RawMessage `json:"events,omitempty"`
	Items      []json.RawMessage `json:"items,omitempty"`
	Error      *problem          `json:"error,omitempty"`
}

type problem struct {
	Classes []string `json:"classes"`
	Message string   `json:"message"`
	Status  int      `json:"status"`
	Type    string   `json:"type"`
	Code    string   `json:"code"`
	Param   string   `json:"param"`
}

func main() {
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "goclient:", err)
		os.Exit(1)
	}
}

// serve runs commands until the end of the input.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	client := openai.NewClient(
		option.WithAPIKey(os.Getenv("API_KEY")), option.WithBaseURL(os.Getenv("BASE_URL")+"/v1"), option.WithMaxRetries(0))
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxCommandBytes)
	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	var running sync.WaitGroup
	defer running.Wait()
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		running.Go(func() {
			a := answer{ID: c.ID}
			if err := run(ctx, client, c, &a); err != nil {
				a.Error = describe(err)
			}
			mu.Lock()
			defer mu.Unlock()
			_ = encoder.Encode(a) // whoever asked is gone
		})
	}
	return lines.Err()
}

func run(ctx context.Context, client openai.Client, c command, a *answer) error {
	if do, ok := strings.CutPrefix(c.Do, "batch_"); ok {
		return a.batch(ctx, client.Batches, do, c)
	}
	if do, ok := strings.CutPrefix(c.Do, "file_"); ok {
		return a.file(ctx, client.Files, do, c)
	}
	api := client.Responses
	switch c.Do {
	case "create":
		body, err := c.params()
		if err != nil {
			return err
		}
		return a.keep(api.New(ctx, body, c.options()...))
	case "stream":
		body, err := c.params()
		if err != nil {
			return err
		}
		return a.collect(api.NewStreaming(ctx, body, c.options()...), c)
	case "retrieve":
		return a.keep(api.Get(ctx, c.ResponseID, responses.ResponseGetParams{}, c.options()...))
	case "resume":
		var query responses.ResponseGetParams
		if c.StartingAfter != nil {
			query.StartingAfter = openai.Int(*c.StartingAfter)
		}
		return a.collect(api.GetStreaming(ctx, c.ResponseID, query, c.options()...), c)
	case "cancel":
		return a.keep(api.Cancel(ctx, c.ResponseID, c.options()...))
	case "delete":
		return api.Delete(ctx, c.ResponseID, c.options()...)
	case "input_items":
		return a.list(ctx, api, c)
	default:
		return errors.New("this client cannot " + c.Do)
	}
}

// params reads the body into the library's own type, so that its encoding is what the server gets.
func (c command) params() (responses.ResponseNewParams, error) {
	var params responses.ResponseNewParams
	err := json.Unmarshal(c.Body, &params)
	return params, err
}

func (c command) options() []option.RequestOption {
	options := []option.RequestOption{option.WithMaxRetries(c.MaxRetries)}
	for name, value := range c.Headers {
		options = append(options, option.WithHeader(name, value))
	}
	if c.BaseURL != "" {
		options = append(options, option.WithBaseURL(c.BaseURL+"/v1"))
	}
	return options
}

func (a *answer) keep(r *responses.Response, err error) error {
	if err != nil {
		return err
	}
	a.Response, a.OutputText = json.RawMessage(r.RawJSON()), r.OutputText()
	return nil
}

// collect adds a stream's events to the answer, also those before an error.
func (a *answer) collect(stream *ssestream.Stream[responses.ResponseStreamEventUnion], c command) error {
	defer stream.Close()
	for stream.Next() {
		event := stream.Current()
		if event.AsAny() == nil {
			return fmt.Errorf("the library does not know the event %s", event.RawJSON())
		}
		a.Events = append(a.Events, json.RawMessage(event.RawJSON()))
		if c.StopAfter != nil && event.SequenceNumber == *c.StopAfter {
			return nil
		}
	}
	return stream.Err()
}

func (a *answer) list(ctx context.Context, api responses.ResponseService, c command) error {
	query := responses.InputItemListParams{Order: responses.InputItemListParamsOrder(c.Query.Order)}
	if c.Query.Limit > 0 {
		query.Limit = openai.Int(c.Query.Limit)
	}
	if c.Query.After != "" {
		query.After = openai.String(c.Query.After)
	}
	pages := api.InputItems.ListAutoPaging(ctx, c.ResponseID, query, c.options()...)
	for pages.Next() {
		a.Items = append(a.Items, json.RawMessage(pages.Current().RawJSON()))
	}
	return pages.Err()
}

func describe(err error) *problem {
	p := &problem{Classes: []string{fmt.Sprintf("%T", err)}, Message: err.Error()}
	if e, ok := errors.AsType[*openai.Error](err); ok {
		p.Message, p.Status, p.Type, p.Code, p.Param = e.Message, e.StatusCode, e.Type, e.Code, e.Param
	}
	return p
}
