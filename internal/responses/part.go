package responses

import "encoding/json"

// The types of [Part].
const (
	PartInputText     = "input_text"
	PartInputImage    = "input_image"
	PartOutputText    = "output_text"
	PartRefusal       = "refusal"
	PartSummaryText   = "summary_text"
	PartReasoningText = "reasoning_text"
)

// Part is a piece of a message's content, of a function's output or of reasoning. Which fields count depends on Type.
type Part struct {
	Type string `json:"type"`
	// Text is the text of every type but input_image; of a refusal, the refusal.
	Text string `json:"text,omitempty"`
	// ImageURL is an https or data URL, and Detail how closely to look: "auto", "low" or "high". Both belong to input_image.
	ImageURL string `json:"image_url,omitempty"`
	Detail   string `json:"detail,omitempty"`
	// Annotations belongs to output_text and is replayed as it came.
	Annotations []json.RawMessage `json:"annotations,omitempty"`
}

// OutputText returns the part that a model's answer is made of.
func OutputText(text string) Part { return Part{Type: PartOutputText, Text: text} }

// InputText returns the part that a user's message is made of.
func InputText(text string) Part { return Part{Type: PartInputText, Text: text} }

// MarshalJSON renders the members that clients expect of the part's type: the SDKs require annotations and logprobs.
func (p Part) MarshalJSON() ([]byte, error) {
	switch p.Type {
	case PartOutputText:
		annotations := p.Annotations
		if annotations == nil {
			annotations = []json.RawMessage{}
		}
		return encode(struct {
			Type        string            `json:"type"`
			Text        string            `json:"text"`
			Annotations []json.RawMessage `json:"annotations"`
			Logprobs    []struct{}        `json:"logprobs"`
		}{p.Type, p.Text, annotations, []struct{}{}})
	case PartInputImage:
		return encode(struct {
			Type     string `json:"type"`
			ImageURL string `json:"image_url"`
			Detail   string `json:"detail,omitempty"`
		}{p.Type, p.ImageURL, p.Detail})
	case PartRefusal:
		return encode(struct {
			Type    string `json:"type"`
			Refusal string `json:"refusal"`
		}{p.Type, p.Text})
	default:
		return encode(struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{p.Type, p.Text})
	}
}

// UnmarshalJSON reads what MarshalJSON rendered.
func (p *Part) UnmarshalJSON(data []byte) error {
	type plain Part
	var in struct {
		plain
		Refusal string `json:"refusal"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*p = Part(in.plain)
	if p.Type == PartRefusal {
		p.Text = in.Refusal
	}
	if len(p.Annotations) == 0 {
		p.Annotations = nil
	}
	return nil
}
