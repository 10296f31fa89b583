package starter

import (
	"context"
	"strconv"

	"perdure/activities"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/transcript"
	"perdure/workflows"
)

// inlineSettings is how many bytes of settings travel with every model turn; longer ones are stored once.
const inlineSettings = 1 << 10

// runInput translates a validated request into the input of its run.
func (k *Intake) runInput(ctx context.Context, who identity.Principal, responseID string, req *responses.Request, b before, d responses.Dialect) (workflows.ResponseInput, error) {
	in := workflows.ResponseInput{
		ResponseID:      responseID,
		Organization:    who.Organization,
		Background:      req.Background,
		ConversationID:  req.Conversation,
		Denied:          b.answers.denied,
		Models:          req.Models,
		MaxSteps:        k.Limits.MaxSteps,
		MaxToolCalls:    req.MaxToolCalls,
		MaxOutputTokens: req.MaxOutputTokens,
		SequentialCalls: req.ParallelToolCalls != nil && !*req.ParallelToolCalls,
		Limits:          k.Limits.Run,
	}
	// The limit is one of all tools that the model is offered; what the functions leave is for the servers.
	in.Limits.Tools -= len(req.FunctionTools())
	if req.MaxSteps != nil {
		in.MaxSteps = *req.MaxSteps
	}
	if in.MaxToolCalls == nil && k.Limits.MaxToolCalls > 0 {
		in.MaxToolCalls = &k.Limits.MaxToolCalls
	}
	store := k.Blobs.For(responseID)
	for i, tool := range req.Tools {
		t, ok := tool.(*responses.MCPTool)
		if !ok {
			continue
		}
		server, err := k.runServer(ctx, store, who, responseID, "tools["+strconv.Itoa(i)+"].", t)
		if err != nil {
			return in, err
		}
		in.Servers = append(in.Servers, server)
	}
	if d == responses.DialectOpenAI {
		if err := k.reuseLists(&in, req, b.servers); err != nil {
			return in, err
		}
	}
	if req.Background {
		in.Webhooks = k.Webhooks(who.Organization)
	}
	var err error
	if in.Approved, err = approvedCalls(ctx, store, b.answers.approved, in.Listed); err != nil {
		return in, err
	}
	if in.Settings, err = store.Pack(ctx, settings(who, req, d), inlineSettings); err != nil {
		return in, err
	}
	for i, item := range req.Input {
		responses.Identify(item, responses.InputItemID(item.Type(), responseID, i))
	}
	items, err := transcript.Pack(ctx, store, req.Input...)
	if err != nil {
		return in, err
	}
	if err := b.checkSize(req, transcript.Bytes(items)); err != nil {
		return in, err
	}
	if in.Input, err = k.takeOver(ctx, store, b, req); err != nil {
		return in, err
	}
	in.InputFrom = in.Input.Len()
	in.Input.Append(items...)
	in.Input, _, err = transcript.Fold(ctx, store, in.Input)
	return in, err
}

func settings(who identity.Principal, req *responses.Request, d responses.Dialect) activities.Settings {
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
		Truncate:          req.Truncation == "auto",
		Organization:      who.Organization,
	}
	if d == responses.DialectOpenAI {
		s.Approvals = map[string]responses.ApprovalPolicy{}
		for _, t := range req.MCPTools() {
			s.Approvals[t.ServerLabel] = t.Approval
		}
	}
	if req.Instructions != nil {
		s.Instructions = *req.Instructions
	}
	return s
}
