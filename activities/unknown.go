package activities

import "strings"

// OutcomeUnknown reports whether the error of an mcp_call item says that the call may have taken effect. A server that writes the same
// words is believed: it says something of itself alone.
func OutcomeUnknown(text string) bool { return strings.Contains(text, mayHaveRun) }
