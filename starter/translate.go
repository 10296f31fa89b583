package starter

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

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

// render builds the response object of a run that has ended.
func (s *Starter) render(ctx context.Context, id string, created time.Time, req *responses.Request, out *workflows.Outcome) (*responses.Response, error) {
	output, err := transcript.Load(ctx, s.Blobs, out.Conversation, out.OutputFrom)
	if err != nil {
		return nil, err
	}
	r := echo(req)
	r.ID = id
	r.CreatedAt = created.Unix()
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
	return r, nil
}

// echo builds a response object of what the request said.
func echo(req *responses.Request) *responses.Response {
	r := &responses.Response{
		Object:            "response",
		Store:             true,
		Instructions:      req.Instructions,
		Metadata:          req.Metadata,
		Tools:             toolsEcho(req.Tools),
		ToolChoice:        req.ToolChoice.Raw,
		ParallelToolCalls: valueOr(req.ParallelToolCalls, true),
		MaxSteps:          req.MaxSteps,
		MaxOutputTokens:   req.MaxOutputTokens,
		MaxToolCalls:      req.MaxToolCalls,
		Reasoning:         responses.ReasonsEcho{Effort: optional(req.Reasoning.Effort), Summary: optional(req.Reasoning.Summary)},
		Text:              responses.TextEcho{Format: req.Format, Verbosity: req.Verbosity},
		Temperature:       valueOr(req.Temperature, 1),
		TopP:              valueOr(req.TopP, 1),
		PresencePenalty:   valueOr(req.PresencePenalty, 0),
		FrequencyPenalty:  valueOr(req.FrequencyPenalty, 0),
		Truncation:        "disabled",
		ServiceTier:       "default",
		SafetyIdentifier:  req.SafetyIdentifier,
		PromptCacheKey:    req.PromptCacheKey,
	}
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	if r.ToolChoice == nil {
		r.ToolChoice = json.RawMessage(`"` + responses.ToolChoiceAuto + `"`)
	}
	if r.Text.Format.Type == "" {
		r.Text.Format.Type = responses.FormatText
	}
	if req.ServiceTier != "" {
		r.ServiceTier = req.ServiceTier
	}
	return r
}

func toolsEcho(tools []responses.Tool) []responses.ToolEcho {
	out := make([]responses.ToolEcho, 0, len(tools))
	for _, tool := range tools {
		switch t := tool.(type) {
		case *responses.MCPTool:
			e := responses.MCPToolEcho{
				Type: "mcp", ServerLabel: t.ServerLabel, ServerURL: redactURL(t.ServerURL), ServerDescription: optional(t.Description),
				RequireApproval: "never",
			}
			if len(t.Allowed.Names) > 0 || t.Allowed.ReadOnly {
				e.AllowedTools = &t.Allowed
			}
			out = append(out, e)
		case *responses.FunctionTool:
			out = append(out, responses.FunctionToolEcho{
				Type: "function", Name: t.Name, Description: optional(t.Description), Parameters: t.Parameters, Strict: valueOr(t.Strict, false),
			})
		}
	}
	return out
}

// redactURL keeps the origin: a path or query may hold a token.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	origin := u.Scheme + "://" + u.Host
	if u.Path == "" && u.RawQuery == "" {
		return origin
	}
	return origin + "/<redacted>"
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
