package responses

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a request's parts, the lengths in characters. The size of the whole body is the HTTP layer's to bound.
const (
	maxModels       = 5
	maxModelName    = 256
	maxInputItems   = 20_000
	maxTools        = 512
	maxHeaders      = 64
	maxAllowedTools = 1024
	maxListedTools  = 4096
	maxAnnotations  = 1000
	maxToolName     = 128
	maxMetadata     = 16
	maxMetadataKey  = 64
	maxMetadataText = 512
	maxLabel        = 512
	// maxReference bounds the ID of what a request goes on with.
	maxReference = 256
	// maxID is generous because some providers pack a model's state into the IDs of its calls.
	maxID = 64 << 10
	// maxApprovalID is in bytes. It leaves room for what else is in the ID of the workflow that an answer becomes; Temporal takes 1,000.
	maxApprovalID = 256
	// maxCompaction bounds a compacted conversation, 8 MiB in base64.
	maxCompaction = 8 << 20
	// MinOutputTokens is the least that max_output_tokens may ask for, as at OpenAI.
	MinOutputTokens = 16
	// MaxSteps is the most model turns that a request may ask for.
	MaxSteps = 100
)

const includeLogprobs = "message.output_text.logprobs"

var (
	labelPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	efforts      = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
	// includable is what OpenAI lets a request ask for in addition. All but logprobs belong to items that this server never outputs,
	// or are in its output anyway.
	includable = []string{
		"file_search_call.results", "web_search_call.results", "web_search_call.action.sources", "message.input_image.image_url",
		"computer_call_output.output.image_url", "code_interpreter_call.outputs", "reasoning.encrypted_content", includeLogprobs,
	}
)

// DecodeRequest reads a request body in a dialect. Its error is always an [*Error] with HTTP status 400.
func DecodeRequest(body []byte, d Dialect) (*Request, error) {
	return decodeBody(body, d, decodeRequest)
}

// decodeBody reads a body that must be one JSON object.
func decodeBody[T any](body []byte, d Dialect, decode func(*object) *T) (*T, error) {
	if err := checkWellFormed(body); err != nil {
		return nil, err
	}
	body = body[skipSpace(body, 0):]
	if !isObject(body) {
		return nil, Invalid("", "the request body must be a JSON object")
	}
	r := &reader{dialect: d}
	o := r.object("", body)
	req := decode(o)
	o.done()
	if r.err != nil {
		return nil, r.err
	}
	return req, nil
}

func decodeRequest(o *object) *Request {
	req := &Request{
		Models:           decodeModels(o),
		Instructions:     o.string("instructions", math.MaxInt),
		MaxSteps:         o.int("max_steps", 1, MaxSteps),
		MaxToolCalls:     o.int("max_tool_calls", 0, math.MaxInt32),
		MaxOutputTokens:  o.int("max_output_tokens", MinOutputTokens, math.MaxInt32),
		Temperature:      o.float("temperature", 0, 2),
		TopP:             o.float("top_p", 0, 1),
		PresencePenalty:  o.float("presence_penalty", -2, 2),
		FrequencyPenalty: o.float("frequency_penalty", -2, 2),
		Reasoning:        decodeReasoning(o),
		Metadata:         o.stringMap("metadata", maxMetadata, maxMetadataKey, maxMetadataText),
		PromptCacheKey:   o.string("prompt_cache_key", maxLabel),
		SafetyIdentifier: o.string("safety_identifier", maxLabel),
		ServiceTier:      decodeServiceTier(o),
		Stream:           isTrue(o.bool("stream")),
		Background:       isTrue(o.bool("background")),
		Store:            o.trueUnlessFalse("store"),
		Truncation:       o.word("truncation", TruncationAuto, TruncationDisabled),
	}
	if req.Truncation == "" {
		req.Truncation = TruncationDisabled
	}
	req.Format, req.Verbosity = decodeFormat(o)
	decodeContinuation(o, req)
	decodeInput(o, req)
	if data, ok := o.take("tools"); ok {
		req.Tools = decodeTools(o.reader, data)
	}
	req.ToolChoice = decodeToolChoice(o, req)
	req.ParallelToolCalls = o.bool("parallel_tool_calls")
	decodeUnused(o)
	return req
}

// decodeUnused accepts what asks for nothing that this server lacks, and refuses the rest by name.
func decodeUnused(o *object) {
	// Hints to a provider's cache or abuse monitoring.
	o.ignore("prompt_cache_options", "prompt_cache_retention", "user", "language_preference")
	o.unsupported("preset", "profile", "skills", "prompt", "context_management", "moderation", "access_programs", "image")
	if n := o.int("top_logprobs", 0, 20); n != nil && *n > 0 {
		o.fail(notSupported("top_logprobs", `"top_logprobs"`))
	}
	for i, include := range o.strings("include", 64, maxLabel) {
		place := fmt.Sprintf("include[%d]", i)
		switch {
		case include == includeLogprobs:
			o.fail(notSupported(place, strconv.Quote(includeLogprobs)))
		case !slices.Contains(includable, include):
			o.fail(Invalid(place, "must be one of %s", quoted(includable)))
		}
	}
	// A stream has no padding, and its last event always has the usage.
	if data, ok := o.take("stream_options"); ok {
		in := o.object("stream_options", data)
		in.bool("include_usage")
		in.bool("include_obfuscation")
		in.done()
	}
}

// decodeContinuation reads what the input goes on with. Whether it exists is not for the decoder to know.
func decodeContinuation(o *object, req *Request) {
	decodePrevious(o, req)
	data, ok := o.take("conversation")
	if !ok {
		return
	}
	switch {
	case req.PreviousResponseID != "":
		o.fail(Invalid("conversation", "cannot be combined with previous_response_id; send one of them"))
	case isString(data):
		req.Conversation = o.filledText("conversation", data, maxReference)
	case isObject(data):
		in := o.object("conversation", data)
		req.Conversation = in.filled("id", maxReference)
		in.done()
	default:
		o.fail(Invalid("conversation", "must be a conversation's ID or an object with its id"))
	}
}

func decodePrevious(o *object, req *Request) {
	if data, ok := o.take("previous_response_id"); ok {
		req.PreviousResponseID = o.filledText("previous_response_id", data, maxReference)
	}
}

func decodeServiceTier(o *object) string {
	return o.word("service_tier", "auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
}

func decodeModels(o *object) []string {
	models := o.strings("models", maxModels, maxModelName)
	model := o.string("model", maxModelName)
	for i, m := range models {
		if strings.TrimSpace(m) == "" {
			o.fail(Invalid(fmt.Sprintf("models[%d]", i), "must not be empty"))
		}
	}
	if len(models) == 0 && model != nil {
		if strings.TrimSpace(*model) == "" {
			o.fail(Invalid("model", "must not be empty"))
		}
		models = []string{*model}
	}
	return models
}

func decodeReasoning(o *object) Reasons {
	data, ok := o.take("reasoning")
	if !ok {
		return Reasons{}
	}
	in := o.object("reasoning", data)
	out := Reasons{
		Effort:  in.word("effort", efforts...),
		Summary: in.word("summary", "auto", "concise", "detailed"),
	}
	in.only("context", "auto")
	in.only("mode", "standard")
	in.ignore("generate_summary")
	in.done()
	return out
}

// decodeFormat reads text.format, as OpenAI has it, and response_format, as the Agent API has it: the same thing twice.
func decodeFormat(o *object) (Format, string) {
	var format Format
	var verbosity string
	if data, ok := o.take("text"); ok {
		in := o.object("text", data)
		verbosity = in.word("verbosity", "low", "medium", "high")
		if data, ok := in.take("format"); ok {
			format = decodeTextFormat(o.object("text.format", data))
		}
		in.done()
	}
	data, ok := o.take("response_format")
	if !ok {
		return format, verbosity
	}
	other := decodeResponseFormat(o.object("response_format", data))
	if format.Type != "" && !format.equal(other) {
		o.fail(Invalid("response_format", "differs from text.format; send one of them"))
	}
	return other, verbosity
}

func decodeTextFormat(o *object) Format {
	format := Format{Type: o.wordRequired("type", FormatText, FormatJSONObject, FormatJSONSchema)}
	if format.Type == FormatJSONSchema {
		decodeJSONSchema(o, &format)
	}
	o.done()
	return format
}

// decodeResponseFormat reads the form whose schema stands one level deeper. A flat one, as in text.format, is clear as well.
func decodeResponseFormat(o *object) Format {
	if o.has("schema") {
		return decodeTextFormat(o)
	}
	format := Format{Type: o.wordRequired("type", FormatText, FormatJSONObject, FormatJSONSchema)}
	if format.Type == FormatJSONSchema {
		if data, ok := o.require("json_schema"); ok {
			in := o.object("response_format.json_schema", data)
			decodeJSONSchema(in, &format)
			in.done()
		}
	}
	o.done()
	return format
}

func decodeJSONSchema(o *object, format *Format) {
	format.Name = o.filled("name", maxToolName)
	if o.err == nil && !labelPattern.MatchString(format.Name) {
		o.fail(Invalid(o.at("name"), "must match %s", labelPattern))
	}
	format.Description = o.optional("description", math.MaxInt)
	format.Strict = o.bool("strict")
	format.Schema = o.schema("schema")
	if format.Schema == nil {
		o.fail(Invalid(o.at("schema"), "is required"))
	}
}

func (f Format) equal(g Format) bool {
	a, errA := json.Marshal(f)
	b, errB := json.Marshal(g)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
