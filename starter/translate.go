package starter

import (
	"context"

	"perdure/activities"
	"perdure/internal/responses"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// inlineSettings is how many bytes of settings travel with every model turn; longer ones are stored once.
const inlineSettings = 1 << 10

// runInput translates a validated request into the input of its run.
func (s *Starter) runInput(ctx context.Context, responseID string, req *responses.Request) (workflows.ResponseInput, error) {
	in := workflows.ResponseInput{
		ResponseID:      responseID,
		Models:          req.Models,
		MaxSteps:        s.Limits.MaxSteps,
		MaxToolCalls:    req.MaxToolCalls,
		MaxOutputTokens: req.MaxOutputTokens,
		SequentialCalls: req.ParallelToolCalls != nil && !*req.ParallelToolCalls,
		Limits:          s.Limits.Run,
	}
	// The limit is one of all tools that the model is offered; what the functions leave is for the servers.
	in.Limits.Tools -= len(req.FunctionTools())
	if req.MaxSteps != nil {
		in.MaxSteps = *req.MaxSteps
	}
	if in.MaxToolCalls == nil && s.Limits.MaxToolCalls > 0 {
		in.MaxToolCalls = &s.Limits.MaxToolCalls
	}
	for _, t := range req.MCPTools() {
		server, err := activities.SealServer(ctx, s.Blobs, s.Sealer, responseID, t)
		if err != nil {
			return in, err
		}
		in.Servers = append(in.Servers, server)
	}
	var err error
	if in.Settings, err = s.Blobs.Pack(ctx, settings(req), inlineSettings); err != nil {
		return in, err
	}
	items, err := transcript.Pack(ctx, s.Blobs, req.Input...)
	if err != nil {
		return in, err
	}
	in.Input.Append(items...)
	in.Input, _, err = transcript.Fold(ctx, s.Blobs, in.Input)
	return in, err
}

func settings(req *responses.Request) activities.Settings {
	s := activities.Settings{
		Functions:         req.FunctionTools(),
		Choice:            req.ToolChoice,
		ParallelToolCalls: req.ParallelToolCalls,
		Temperature:       req.Temperature,
		TopP:              req.TopP,
		PresencePenalty:   req.PresencePenalty,
		FrequencyPenalty:  req.FrequencyPenalty,
		Effort:            req.Reasoning.Effort,
		Verbosity:         req.Verbosity,
		Format:            req.Format,
	}
	if req.Instructions != nil {
		s.Instructions = *req.Instructions
	}
	return s
}

// complete fills in what a run came to.
func (s *Starter) complete(ctx context.Context, r *responses.Response, out *workflows.Outcome) error {
	output, err := transcript.Load(ctx, s.Blobs, out.Conversation, out.OutputFrom)
	if err != nil {
		return err
	}
	r.Status = out.Status
	r.Model = out.Model
	r.Error = out.Error
	r.Output = output
	r.Usage = &out.Usage
	if out.Status == responses.ResponseCompleted {
		at := out.CompletedAt.Unix()
		r.CompletedAt = &at
	}
	if out.Reason != "" {
		r.IncompleteDetails = &responses.IncompleteDetails{Reason: out.Reason}
	}
	return nil
}
