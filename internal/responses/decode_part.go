package responses

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// contentParts are the types of part that a message or a function's output is made of.
var contentParts = []string{PartInputText, PartInputImage, PartOutputText, PartRefusal}

// decodeContent reads a string, which is one part, or a list of parts.
func decodeContent(r *reader, path string, data json.RawMessage, role string) []Part {
	switch {
	case isString(data):
		s := r.text(path, data, math.MaxInt)
		if s == nil {
			return nil
		}
		if role == RoleAssistant {
			return []Part{OutputText(*s)}
		}
		return []Part{InputText(*s)}
	case isArray(data):
		return decodeParts(r, path, data, contentParts...)
	default:
		r.fail(Invalid(path, "must be a string or an array of content parts"))
		return nil
	}
}

func decodeParts(r *reader, path string, data json.RawMessage, types ...string) []Part {
	parts := []Part{}
	r.list(path, data, maxInputItems, func(path string, data json.RawMessage) {
		parts = append(parts, decodePart(r.object(path, data), types))
	})
	return parts
}

func (o *object) reasoningParts(name, partType string) []Part {
	if data, ok := o.take(name); ok {
		return decodeParts(o.reader, o.at(name), data, partType)
	}
	return []Part{}
}

func decodePart(o *object, types []string) Part {
	p := Part{Type: o.filled("type", maxLabel)}
	switch {
	case !slices.Contains(types, p.Type):
		o.fail(unfitPart(o, p.Type, types))
	case p.Type == PartInputImage:
		p.Detail = o.word("detail", "auto", "low", "high", "original")
		o.unsupported("file_id")
		p.ImageURL = o.imageURL()
	case p.Type == PartRefusal:
		p.Text = o.required("refusal")
	case p.Type == PartOutputText:
		p.Text = o.required("text")
		p.Annotations = o.annotations()
		o.ignore("logprobs")
	default:
		p.Text = o.required("text")
	}
	// Clients that cache prompts mark parts; the mark asks nothing of this server.
	o.ignore("prompt_cache_breakpoint")
	o.done()
	return p
}

func unfitPart(o *object, partType string, types []string) *Error {
	switch partType {
	case "input_file", "input_audio", "input_video":
		return notSupported(o.at("type"), "content of type "+partType)
	default:
		return Invalid(o.at("type"), "%q is not a type of content that may stand here; use one of %s", clip(partType), quoted(types))
	}
}

func (o *object) annotations() []json.RawMessage {
	data, ok := o.take("annotations")
	if !ok {
		return nil
	}
	var annotations []json.RawMessage
	o.list(o.at("annotations"), data, maxAnnotations, func(path string, data json.RawMessage) {
		if !isObject(data) {
			o.fail(Invalid(path, "must be an object"))
		}
		annotations = append(annotations, bytes.Clone(data))
	})
	return annotations
}

// imageURL reads an https or data URL. The model's provider fetches it, not this server.
func (o *object) imageURL() string {
	url := o.filled("image_url", math.MaxInt)
	if o.err == nil && !hasPrefixFold(url, "https://") && !hasPrefixFold(url, "data:image/") {
		o.fail(Invalid(o.at("image_url"), "must be an https URL or a data URL of an image"))
	}
	return url
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
