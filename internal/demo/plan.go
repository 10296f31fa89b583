package demo

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// maxCalls bounds how many calls a plan has.
const maxCalls = 4

// What words weigh when a tool is compared with a message.
const (
	weightServer      = 5 // the message names the tool's server
	weightName        = 4 // a word of the tool's name
	weightSynonym     = 3 // a word with the meaning of one in the tool's name
	weightDescription = 1
	weightFits        = 1 // the message has a repository or number that the tool requires
	weightMisfit      = -2

	// minScore is what a tool must reach to be called unasked: more than a chance word of its description.
	minScore = 2
)

// maxDescription bounds how much of a tool's description counts, in bytes.
const maxDescription = 1024

// plannedCall is a call that the script decides to make.
type plannedCall struct {
	function  string
	arguments string
}

// candidate is a tool that may be called.
type candidate struct {
	function   string // as offered
	label      string // of its server; empty when the name has no such part
	parameters schema
	score      int
	named      bool // the message names its server
}

// splitName separates the server's label from the tool's own name, where a double underscore joins them.
func splitName(function string) (label, name string) {
	if label, name, ok := strings.Cut(function, "__"); ok && label != "" && name != "" {
		return label, name
	}
	return "", function
}

// plan lists the calls that a message asks for, in order. With force there is at least one, if there are tools.
//
// It depends on the message and the tools alone, so a later turn makes the same plan and goes on where the earlier one stopped.
func plan(p prompt, tools []function, force bool) []plannedCall {
	ranked := rank(p, tools)
	if !force {
		ranked = slices.DeleteFunc(ranked, func(c candidate) bool { return c.score < minScore })
	}
	var calls []plannedCall
	for _, c := range choose(p, ranked) {
		for _, r := range c.repos(p) {
			if len(calls) < maxCalls {
				calls = append(calls, plannedCall{c.function, c.arguments(p, r)})
			}
		}
	}
	return calls
}

// rank orders the tools by score; those with the same score stay in the order in which they were offered.
func rank(p prompt, tools []function) []candidate {
	ranked := make([]candidate, len(tools))
	for i, t := range tools {
		ranked[i] = weigh(p, t)
	}
	slices.SortStableFunc(ranked, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	return ranked
}

// choose picks from the ranked tools: the best one of each server that the message names, the best two if it wants both of
// something, or else the best.
func choose(p prompt, ranked []candidate) []candidate {
	var named []candidate
	for _, c := range ranked {
		sameServer := func(other candidate) bool { return other.label == c.label }
		if c.named && !slices.ContainsFunc(named, sameServer) {
			named = append(named, c)
		}
	}
	switch {
	case len(named) > 1:
		return named
	case p.both && len(p.repos) < 2:
		return ranked[:min(2, len(ranked))]
	default:
		return ranked[:min(1, len(ranked))]
	}
}

func weigh(p prompt, t function) candidate {
	label, name := splitName(t.Name)
	c := candidate{function: t.Name, label: label, parameters: t.Parameters, named: namesServer(p, label)}
	weights := map[string]int{} // by concept, so that two words for one thing count once
	for _, word := range words(clip(t.Description, maxDescription)) {
		if p.words[word] {
			weights[concept(word)] = weightDescription
		}
	}
	for _, word := range identifierWords(name) {
		switch k := concept(word); {
		case p.words[word]:
			weights[k] = weightName
		case p.concepts[k]:
			weights[k] = max(weights[k], weightSynonym)
		}
	}
	for _, w := range weights {
		c.score += w
	}
	if c.named {
		c.score += weightServer
	}
	c.score += fit(p, t.Parameters)
	return c
}

// namesServer reports whether the message has a server's label in it, whole or word by word.
func namesServer(p prompt, label string) bool {
	if label == "" {
		return false
	}
	joined := stem(strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(label)))
	return p.words[joined] || p.mentions(label)
}

// fit weighs whether the message has what the tool requires.
func fit(p prompt, parameters schema) int {
	weight := func(has bool) int {
		if has {
			return weightFits
		}
		return weightMisfit
	}
	total, numbers := 0, 0
	for _, name := range parameters.required() {
		switch parameters.roleOf(name) {
		case roleOwner, roleRepo, roleFullRepo:
			total += weight(len(p.repos) > 0)
		case roleNumber:
			numbers++
			total += weight(len(p.numbers) >= numbers)
		}
	}
	return total
}

// repos lists the repositories to call the tool for, one by one. A zero repository means one call for no repository in
// particular.
func (c candidate) repos(p prompt) []repo {
	takesRepo := false
	for name := range c.parameters.properties() {
		switch c.parameters.roleOf(name) {
		case roleOwner, roleRepo, roleFullRepo:
			takesRepo = true
		}
	}
	if !takesRepo || len(p.repos) == 0 {
		return []repo{{}}
	}
	return p.repos
}

func (c candidate) arguments(p prompt, r repo) string {
	f := filler{root: c.parameters, prompt: p, repo: r, text: p.text, rest: p.text}
	arguments, ok := f.value(c.parameters, nil, "", 0).(map[string]any)
	if !ok {
		return "{}" // a function's arguments are an object, whatever its schema says
	}
	data, err := marshal(arguments)
	if err != nil {
		return "{}"
	}
	return string(data)
}

// marshal is json.Marshal without the escapes that HTML needs: people read these texts.
func marshal(v any) (json.RawMessage, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n")), nil
}
