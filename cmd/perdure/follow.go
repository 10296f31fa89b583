package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"perdure/internal/apiclient"
	"perdure/internal/responses"
)

const (
	// tickEvery is how often the lines of what is under way are written again.
	tickEvery = 200 * time.Millisecond
	// cancelWithin bounds the cancellation of a run whose command was interrupted.
	cancelWithin = 20 * time.Second
)

// follow shows a run until it is over.
func (s *session) follow(stream *apiclient.Stream, v *runView, events bool) (_ apiclient.Response, err error) {
	defer func() {
		v.live.Clear()
		if err != nil {
			err = errors.Join(err, v.endLine())
		}
	}()
	type next struct {
		event apiclient.Event
		err   error
	}
	ctx, stop := context.WithCancel(s.ctx())
	coming, over, pauses := make(chan next), make(chan struct{}), make(chan string, 1)
	// The view belongs to this goroutine, and pauses happen in the other.
	s.pausing = func(reason error, pause time.Duration) {
		if text := s.pauseText(reason, pause); text != "" {
			select {
			case pauses <- text:
			default:
			}
		}
	}
	defer func() {
		stop()
		<-over
		stream.Close()
		s.pausing = nil
	}()
	go func() {
		defer close(over)
		for {
			e, err := stream.Next(ctx)
			select {
			case coming <- next{e, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	var last *apiclient.Response
	for {
		select {
		case <-ctx.Done():
			return apiclient.Response{}, ctx.Err()
		case <-ticker.C:
			v.tick()
		case text := <-pauses:
			v.line(text)
		case n := <-coming:
			switch {
			case errors.Is(n.err, io.EOF) && last != nil:
				return *last, nil
			case n.err != nil:
				return s.without(stream, n.err)
			}
			if events {
				if _, err := fmt.Fprintf(s.out, "%s\n", n.event.Data); err != nil {
					return apiclient.Response{}, err
				}
			}
			ended, err := v.add(n.event)
			if err != nil {
				return apiclient.Response{}, err
			}
			if ended != nil {
				last = ended
			}
		}
	}
}

// without waits for a run whose events are not to be had: because it is too old, or because the event log is away.
func (s *session) without(stream *apiclient.Stream, err error) (apiclient.Response, error) {
	if stream.ID() == "" || !(apiclient.IsStatus(err, http.StatusBadRequest) || errors.Is(err, io.EOF)) {
		return apiclient.Response{}, err
	}
	return s.Await(s.ctx(), stream.ID())
}

// ending is the error for a run that has come to something else than its completion.
func ending(r apiclient.Response) error {
	switch r.Status {
	case responses.ResponseCompleted:
		return nil
	case responses.ResponseFailed:
		text := "the run failed"
		if r.Error != nil {
			text += ": " + r.Error.Message
		}
		return &exit{exitFailed, errors.New(text)}
	case responses.ResponseIncomplete:
		return &exit{exitIncomplete, incomplete(r)}
	case responses.ResponseCancelled:
		return &exit{exitCancelled, errors.New("the run was cancelled")}
	default:
		return fmt.Errorf("the run is %s", r.Status)
	}
}

func incomplete(r apiclient.Response) error {
	reason := ""
	if r.IncompleteDetails != nil {
		reason = r.IncompleteDetails.Reason
	}
	switch reason {
	case responses.IncompleteMaxSteps:
		return errors.New("the run is incomplete: the model still asked for tools in the last turn that it had; give it more with --max-steps")
	case responses.IncompleteMaxOutputTokens:
		return errors.New("the run is incomplete: the answer reached the largest number of tokens")
	case responses.IncompleteContentFilter:
		return errors.New("the run is incomplete: the provider's content filter stopped it")
	default:
		return errors.New("the run is incomplete")
	}
}
