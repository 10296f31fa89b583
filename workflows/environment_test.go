package workflows

import (
	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
)

// What the SDK's test environment takes.
type (
	converterArgs   = converter.EncodedValues
	converterResult = converter.EncodedValue
)

const anyArgument = mock.Anything

// matched is an argument that a function has looked at.
func matched[T any](f func(T) bool) any { return mock.MatchedBy(f) }
