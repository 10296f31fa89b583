package ui

import (
	"strconv"
	"strings"

	"perdure/internal/page"
	"perdure/internal/responses"
)

// shownText is how many bytes of one item of a conversation are shown.
const shownText = 32 << 10

// spoken returns what people and models said; what the steps of the timeline show is left out.
func spoken(items []responses.Item) []said {
	var out []said
	for _, item := range items {
		switch item := item.(type) {
		case *responses.Message:
			out = append(out, newSaid(speaker(item.Role), "message", partsText(item.Content)))
		case *responses.Reasoning:
			out = append(out, newSaid("Reasoning", "reasoning", partsText(item.Summary)))
		case *responses.FunctionCall:
			out = append(out, newSaid("Function call for the client", "code", item.Name+" "+item.Arguments))
		case *responses.FunctionCallOutput:
			out = append(out, newSaid("Output of the client's function", "code", partsText(item.Output)))
		case *responses.MCPApprovalRequest:
			out = append(out, newSaid("Approval asked for", "code", item.ServerLabel+"."+item.Name+" "+item.Arguments))
		case *responses.MCPApprovalResponse:
			out = append(out, newSaid("Approval", "code", map[bool]string{true: "given to ", false: "denied to "}[item.Approve]+item.ApprovalRequestID))
		case *responses.Compaction:
			out = append(out, newSaid("Compacted conversation", "code", "Only this server can read it."))
		}
	}
	return out
}

func newSaid(who, kind, text string) said {
	shown, all := page.Clip(text, shownText)
	return said{Who: who, Kind: kind, Text: shown, Cut: !all}
}

func speaker(role string) string {
	switch role {
	case responses.RoleAssistant:
		return "Answer"
	case responses.RoleUser:
		return "User"
	case responses.RoleSystem:
		return "System"
	case responses.RoleDeveloper:
		return "Developer"
	default:
		return role
	}
}

// partsText is the text of parts, with a word for what is none.
func partsText(parts []responses.Part) string {
	texts := make([]string, 0, len(parts))
	for _, p := range parts {
		if p.Type == responses.PartInputImage {
			texts = append(texts, "[an image, "+strconv.Itoa(len(p.ImageURL))+" bytes of address or data]")
			continue
		}
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, "\n")
}

// titleOf is the beginning of the last message of a user, in one line.
func titleOf(items []responses.Item) string {
	for i := len(items) - 1; i >= 0; i-- {
		if m, ok := items[i].(*responses.Message); ok && m.Role == responses.RoleUser {
			if line := oneLine(partsText(m.Content), 100); line != "" {
				return line
			}
		}
	}
	return ""
}

// oneLine is the beginning of a text with its white space made single blanks.
func oneLine(text string, most int) string {
	clipped, all := page.Clip(text, 8*most)
	line := strings.Join(strings.Fields(clipped), " ")
	runes := []rune(line)
	if len(runes) > most {
		line, all = strings.TrimSpace(string(runes[:most])), false
	}
	if !all {
		line += "…"
	}
	return line
}
