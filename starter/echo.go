package starter

import (
	"bytes"
	"encoding/json"
	"net/url"
	"time"

	"perdure/internal/responses"
)

// newResponse returns the response object of a run that begins, with what it repeats of the request. Nothing in it keeps the
// request's body in memory: a client may wait for hours.
func newResponse(req *responses.Request, d responses.Dialect, id string, created time.Time) *responses.Response {
	r := &responses.Response{
		ID:                 id,
		Object:             "response",
		CreatedAt:          created.Unix(),
		Status:             responses.ResponseInProgress,
		Background:         req.Background,
		Store:              req.Store,
		Model:              req.Models[0],
		Instructions:       req.Instructions,
		Metadata:           req.Metadata,
		PreviousResponseID: optional(req.PreviousResponseID),
		Tools:              toolsEcho(req.Tools, d),
		ToolChoice:         bytes.Clone(req.ToolChoice.Raw),
		ParallelToolCalls:  valueOr(req.ParallelToolCalls, true),
		MaxSteps:           req.MaxSteps,
		MaxOutputTokens:    req.MaxOutputTokens,
		MaxToolCalls:       req.MaxToolCalls,
		Reasoning:          responses.ReasonsEcho{Effort: optional(req.Reasoning.Effort), Summary: optional(req.Reasoning.Summary)},
		Text:               responses.TextEcho{Format: req.Format, Verbosity: req.Verbosity},
		Temperature:        valueOr(req.Temperature, 1),
		TopP:               valueOr(req.TopP, 1),
		PresencePenalty:    valueOr(req.PresencePenalty, 0),
		FrequencyPenalty:   valueOr(req.FrequencyPenalty, 0),
		Truncation:         "disabled",
		ServiceTier:        "default",
		SafetyIdentifier:   req.SafetyIdentifier,
		PromptCacheKey:     req.PromptCacheKey,
	}
	r.Text.Format.Schema = bytes.Clone(req.Format.Schema)
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	if r.ToolChoice == nil {
		r.ToolChoice = json.RawMessage(`"` + responses.ToolChoiceAuto + `"`)
	}
	if r.Text.Format.Type == "" {
		r.Text.Format.Type = responses.FormatText
	}
	if req.Background {
		r.Status = responses.ResponseQueued
	}
	if req.Truncation != "" {
		r.Truncation = req.Truncation
	}
	if req.Conversation != "" {
		r.Conversation = &responses.ConversationRef{ID: req.Conversation}
	}
	if req.ServiceTier != "" {
		r.ServiceTier = req.ServiceTier
	}
	return r
}

func toolsEcho(tools []responses.Tool, d responses.Dialect) []responses.ToolEcho {
	out := make([]responses.ToolEcho, 0, len(tools))
	for _, tool := range tools {
		switch t := tool.(type) {
		case *responses.MCPTool:
			e := responses.MCPToolEcho{
				Type: "mcp", ServerLabel: t.ServerLabel, ConnectorID: t.ConnectorID, ServerDescription: optional(t.Description),
				RequireApproval: responses.ApprovalPolicy{Mode: responses.ApproveNever},
			}
			if t.ConnectorID == "" {
				e.ServerURL = redactURL(t.ServerURL)
			}
			if d == responses.DialectOpenAI {
				e.RequireApproval = t.Approval
			}
			if len(t.Allowed.Names) > 0 || t.Allowed.ReadOnly {
				e.AllowedTools = &t.Allowed
			}
			out = append(out, e)
		case *responses.FunctionTool:
			out = append(out, responses.FunctionToolEcho{
				Type: "function", Name: t.Name, Description: optional(t.Description), Parameters: bytes.Clone(t.Parameters), Strict: valueOr(t.Strict, false),
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
