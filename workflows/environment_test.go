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
