package workflows

import (
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
)

// What the SDK's test environment takes.
type (
	converterArgs   = converter.EncodedValues
	converterResult = converter.EncodedValue
)

// newEnvironment returns a test environment. By itself it would panic after three seconds in which a busy machine does nothing for it.
func newEnvironment() *testsuite.TestWorkflowEnvironment {
	env := (&testsuite.WorkflowTestSuite{}).NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	return env
}

const anyArgument = mock.Anything

// matched is an argument that a function has looked at.
func matched[T any](f func(T) bool) any { return mock.MatchedBy(f) }
