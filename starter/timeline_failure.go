package starter

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"perdure/activities"
	"perdure/workflows"
)

// maxFailure is the longest message of a failure that is shown, in bytes.
const maxFailure = 4 << 10

const unexplained = "it failed for a reason that only the worker's log has"

// failure says in words for clients why an attempt came to nothing, and how long the other side wanted to be left alone. Only messages
// of our own types are fit for clients.
func (f *filler) failure(failure *failurepb.Failure) (text string, asked time.Duration) {
	if failure == nil {
		return "", 0
	}
	if timeout := failure.GetTimeoutFailureInfo(); timeout != nil {
		switch timeout.GetTimeoutType() {
		case enumspb.TIMEOUT_TYPE_HEARTBEAT:
			return "the worker that had the step was not heard of any more: it may have died", 0
		case enumspb.TIMEOUT_TYPE_START_TO_CLOSE:
			return "the attempt took too long, or its worker died", 0
		case enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE:
			return "the time for the whole run was over", 0
		default:
			return "no worker had time for it", 0
		}
	}
	if failure.GetCanceledFailureInfo() != nil {
		return "it was cancelled", 0
	}
	app := failure.GetApplicationFailureInfo()
	switch app.GetType() {
	case activities.ErrTypeDiscovery, activities.ErrTypeModel, activities.ErrTypeMCPCall, workflows.ErrTypeRefused:
		opened := failure
		if failure.GetEncodedAttributes() != nil {
			opened = proto.CloneOf(failure)
			converter.DecodeCommonFailureAttributes(f.dc, opened)
			if opened.GetMessage() == failure.GetMessage() {
				return "its reason is encrypted with a key that this server does not have", app.GetNextRetryDelay().AsDuration()
			}
		}
		return clipTo(opened.GetMessage(), maxFailure), app.GetNextRetryDelay().AsDuration()
	case activities.ErrTypeStopped:
		return "the worker was stopped and handed the step back", 0
	case activities.ErrTypeStorage:
		return "a large value could not be read or written", 0
	default:
		return unexplained, 0
	}
}
