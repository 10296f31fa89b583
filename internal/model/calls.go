package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"

	"perdure/internal/responses"
)

// callIDPattern is what providers take: OpenAI refuses more than 40 characters.
var callIDPattern = regexp.MustCompile(`^[!-~]{1,40}$`)

// callIDs holds the IDs of tool calls that a conversation has used.
type callIDs map[string]bool

// unique returns id, or a hash of it where providers would refuse id or it is taken. As long as a conversation only grows, each
// call keeps its ID.
func (ids callIDs) unique(id string) string {
	out := id
	for n := 0; ids[out] || !callIDPattern.MatchString(out); n++ {
		sum := sha256.Sum256([]byte(id + "\x00" + strconv.Itoa(n)))
		out = "call_" + hex.EncodeToString(sum[:])[:32]
	}
	ids[out] = true
	return out
}

// outputs knows which item of a conversation answers which call.
type outputs struct {
	items  []responses.Item
	answer map[int]int // the index of a call → the index of its output
	paired map[int]bool
}

// pairOutputs gives each output to the first unanswered call before it with the same call ID.
func pairOutputs(items []responses.Item) outputs {
	p := outputs{items: items, answer: map[int]int{}, paired: map[int]bool{}}
	waiting := map[string][]int{}
	for i, item := range items {
		switch it := item.(type) {
		case *responses.FunctionCall:
			waiting[it.CallID] = append(waiting[it.CallID], i)
		case *responses.FunctionCallOutput:
			if calls := waiting[it.CallID]; len(calls) > 0 {
				p.answer[calls[0]] = i
				p.paired[i] = true
				waiting[it.CallID] = calls[1:]
			}
		}
	}
	return p
}

// of returns the answer to the call at index i, and where it stands: nil and the far end when there is none.
func (p outputs) of(i int) (*responses.FunctionCallOutput, int) {
	at, ok := p.answer[i]
	if !ok {
		return nil, math.MaxInt
	}
	output, _ := p.items[at].(*responses.FunctionCallOutput)
	return output, at
}

// orphan reports whether the output at index i answers no call.
func (p outputs) orphan(i int) bool { return !p.paired[i] }

// objectText returns arguments as providers want them back: the text of a JSON object. Models now and then write something
// else, which some providers would fail to parse.
func objectText(arguments string) string {
	trimmed := strings.TrimSpace(arguments)
	if trimmed == "" {
		return "{}"
	}
	if isObject(trimmed) {
		return arguments
	}
	data, err := json.Marshal(map[string]string{"invalid_arguments": arguments})
	if err != nil {
		return "{}"
	}
	return string(data)
}

func isObject(text string) bool {
	data := []byte(text)
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) && json.Valid(data)
}
