// Package activities holds the steps of a run that do I/O: discover lists the tools of an MCP server, model_turn asks the model,
// mcp_call calls a tool. Each has a file with its input, its result and its method, in that order.
//
// An activity's failure is one of three kinds (see errors.go). A tool's own failure is data: an mcp_call item with its error set,
// which the model reads. A passing fault is a retryable error, which Temporal, and nothing else, retries. A broken contract is a
// non-retryable error with a stable type. Only discover and model_turn can fail a run.
//
// Inputs and results are what history keeps, so they hold no secrets (see [Endpoint]) and no long values (see
// [perdure/internal/blob.Value]).
package activities

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"perdure/internal/blob"
	"perdure/internal/connection"
	"perdure/internal/events"
	"perdure/internal/file"
	"perdure/internal/mcpclient"
	"perdure/internal/model"
	"perdure/internal/secret"
	"perdure/internal/webhook"
)

// The names under which activities are registered. They are part of every history: they never change.
const (
	DiscoverName  = "discover"
	ModelTurnName = "model_turn"
	MCPCallName   = "mcp_call"

	DeliverWebhookName = "deliver_webhook"
	DeleteName         = "delete"
	SweepName          = "sweep"

	ConversationAppendName     = "conversation_append"
	ConversationDeleteItemName = "conversation_delete_item"
)

// Options are what activities need. All fields are required, but for MaxConversation, SweepLimits, without which there are no sweeps,
// and Connections and Files, which need a database: without them no saved connector and no file can be used.
type Options struct {
	Blobs  *blob.Stores
	MCP    *mcpclient.Client
	Models *model.Client
	Sealer *secret.Sealer
	Events *events.Log
	// Payloads is the data converter of the worker's client.
	Payloads converter.DataConverter
	// Webhooks sends the events of responses that ended.
	Webhooks    *webhook.Sender
	Connections *connection.Service
	Files       *file.Service
	Logger      *slog.Logger
	// HeartbeatEvery is how often a running step tells the server that it is alive, and how late it hears that its run was
	// cancelled if the event log does not carry the news. A third of the heartbeat timeout at the most, so that two beats may be
	// lost. In a worker with many steps it is up to nine fifths of this.
	HeartbeatEvery time.Duration
	// ModelTimeout bounds one model turn. The MCP client has its own limits.
	ModelTimeout time.Duration
	// MaxToolOutput is how many bytes of one tool's output the model gets to see; the item keeps all of it.
	MaxToolOutput int
	// MaxConversation is how many bytes the items of a conversation of /v1/conversations may have when a client adds some; 0 is no limit.
	MaxConversation int64
	SweepLimits     SweepLimits
}

// Activities are the steps of a run. They keep no state between calls but caches, so any worker can run any step.
type Activities struct {
	Options
	running running
}

// New returns the activities. Until the event log is closed they listen to it for runs that are cancelled.
func New(o Options) (*Activities, error) {
	if o.Blobs == nil || o.MCP == nil || o.Models == nil || o.Sealer == nil || o.Events == nil || o.Logger == nil ||
		o.Webhooks == nil || o.Payloads == nil || o.HeartbeatEvery <= 0 || o.ModelTimeout <= 0 || o.MaxToolOutput <= 0 {
		return nil, errors.New("activities: every option is required")
	}
	a := &Activities{Options: o}
	if err := o.Events.OnCancelled(a.running.nudge); err != nil {
		return nil, fmt.Errorf("activities: listen for cancelled runs: %w", err)
	}
	return a, nil
}

// Register makes a worker run the activities.
func (a *Activities) Register(r worker.ActivityRegistry) {
	r.RegisterActivityWithOptions(a.Discover, activity.RegisterOptions{Name: DiscoverName})
	r.RegisterActivityWithOptions(a.ModelTurn, activity.RegisterOptions{Name: ModelTurnName})
	r.RegisterActivityWithOptions(a.MCPCall, activity.RegisterOptions{Name: MCPCallName})
	r.RegisterActivityWithOptions(a.DeliverWebhook, activity.RegisterOptions{Name: DeliverWebhookName})
	r.RegisterActivityWithOptions(a.Delete, activity.RegisterOptions{Name: DeleteName})
	r.RegisterActivityWithOptions(a.Sweep, activity.RegisterOptions{Name: SweepName})
	r.RegisterActivityWithOptions(a.ConversationAppend, activity.RegisterOptions{Name: ConversationAppendName})
	r.RegisterActivityWithOptions(a.ConversationDeleteItem, activity.RegisterOptions{Name: ConversationDeleteItemName})
}
