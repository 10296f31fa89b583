package activities

// RetryRule says when a call whose answer was lost is made again. A call that provably never ran may be, whatever the rule.
type RetryRule string

// The rules. They are in histories: they never change.
const (
	// RetrySafe: where the server declares its tool read-only or idempotent.
	RetrySafe RetryRule = "safe"
	// RetryAlways: always, since the operator knows that a repetition does no harm.
	RetryAlways RetryRule = "always"
	// RetryNever: never, whatever the server declares.
	RetryNever RetryRule = "never"
)

// RetryPolicy is what an operator says about the tools of a server. The zero value is [RetrySafe] for all of them.
type RetryPolicy struct {
	Default RetryRule `json:"default,omitempty"`
	// Tools are the rules of tools for which the default does not hold, by their names.
	Tools map[string]RetryRule `json:"tools,omitempty"`
}

// Repeatable reports whether a call of a tool may be made twice. Declared says that its server declares it read-only or idempotent.
func (p RetryPolicy) Repeatable(tool string, declared bool) bool {
	rule, ok := p.Tools[tool]
	if !ok {
		rule = p.Default
	}
	switch rule {
	case RetryAlways:
		return true
	case RetrySafe, "":
		return declared
	default:
		return false
	}
}
