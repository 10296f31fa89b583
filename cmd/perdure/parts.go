package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	tlog "go.temporal.io/sdk/log"

	"perdure/activities"
	"perdure/config"
	"perdure/internal/blob"
	"perdure/internal/connection"
	"perdure/internal/events"
	"perdure/internal/identity"
	"perdure/internal/mcpclient"
	"perdure/internal/model"
	"perdure/internal/payload"
	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/ui"
	"perdure/starter"
	"perdure/worker"
	"perdure/workflows"
)

// Here configuration becomes parts: every package gets plain values, and none of them knows the configuration.

// dialTemporal returns a client that connects when it is first used. What the configuration leaves open comes from Temporal's own
// environment variables and profiles. Those who read and write no payloads pass nil for them.
func dialTemporal(c config.Temporal, p *payloads, logger *slog.Logger) (client.Client, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("temporal: %w", err)
	}
	return newTemporalClient(o, c, p, logger)
}

func newTemporalClient(o client.Options, c config.Temporal, p *payloads, logger *slog.Logger) (client.Client, error) {
	if c.Address != "" {
		o.HostPort = c.Address
	}
	if c.Namespace != "" {
		o.Namespace = c.Namespace
	}
	if p != nil {
		o.DataConverter, o.FailureConverter = payload.NewDataConverter(p.codec), payload.NewFailureConverter(p.codec)
		o.ExternalStorage = p.storage
	}
	o.Logger = tlog.NewStructuredLogger(logger.With("component", "temporal"))
	reconnectSoon(&o)
	return client.NewLazyClient(o)
}

// connectEvents returns the event log, which must be closed. Without a URL its server is in this process.
func connectEvents(ctx context.Context, c config.Config, blobs *blob.Stores, sealer *secret.Sealer, logger *slog.Logger) (*events.Log, error) {
	roots, err := certificates(c.Network.CAFile)
	if err != nil {
		return nil, err
	}
	return events.Connect(ctx, events.Options{
		URL: c.Events.URL, Credentials: c.Events.CredentialsFile, RootCAs: roots,
		Dir: c.EventsDir(), Listen: c.Events.Listen,
		MaxAge: c.Events.MaxAge, Replicas: c.Events.Replicas, Blobs: blobs, Logger: logger,
		Sealer: sealer, Encrypt: c.Encryption.Payloads,
	})
}

// sharedEvents is connectEvents for a process that is not alone.
func sharedEvents(ctx context.Context, c config.Config, blobs *blob.Stores, sealer *secret.Sealer, logger *slog.Logger) (*events.Log, error) {
	if err := c.RequireEventsURL(); err != nil {
		return nil, err
	}
	return connectEvents(ctx, c, blobs, sealer, logger)
}

func openSealer(c config.Config, logger *slog.Logger) (*secret.Sealer, error) {
	if !c.Secrets.Keyset.IsZero() {
		return secret.ParseKeyset([]byte(c.Secrets.Keyset.Reveal()))
	}
	if c.Secrets.KeysetFile == "" {
		if err := c.RequireDataDir(); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(c.Data.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("data.dir: %w", err)
		}
	}
	return secret.OpenKeysetFile(c.KeysetFile(), logger)
}

func newCatalog(c config.Models) (*model.Catalog, error) {
	providers := make([]model.Provider, 0, len(c.Providers))
	for name, p := range c.Providers {
		headers := make(map[string]string, len(p.Headers))
		for name, value := range p.Headers {
			headers[name] = value.Reveal()
		}
		providers = append(providers, model.Provider{
			Name: name, BaseURL: p.BaseURL, APIKey: p.APIKey, Headers: headers, Models: p.Models, Quirks: model.Quirks(p.Quirks),
		})
	}
	return model.NewCatalog(providers, c.Default)
}

func newKeyring(keys []config.APIKey, all config.Limits) (*identity.Keyring, error) {
	known := make(map[identity.KeyHash]identity.Principal, len(keys))
	for _, k := range keys {
		limits := identity.Limits{
			RequestsPerMinute: k.RequestsPerMinute.Or(all.RequestsPerMinute), RequestBurst: all.RequestBurst,
			ConcurrentRuns: k.ConcurrentRuns.Or(all.ConcurrentRuns),
		}
		role := identity.Member
		if k.Role == string(identity.Admin) {
			role = identity.Admin
		}
		known[k.Digest()] = identity.Principal{
			Organization: k.Organization, User: k.User, Key: k.Name, Limits: limits, Role: role, Scopes: identity.AllScopes,
		}
	}
	return identity.NewKeyring(known)
}

// certificates returns the system's roots with those of the file added; nil means the system's alone.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("network.ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("network.ca_file: has no certificate in PEM form")
	}
	return pool, nil
}

// heartbeatEvery lets two beats be lost before the timeout. A step hears of its cancellation by the event log at once, and by its beat
// while the log is away.
func heartbeatEvery(timeout time.Duration) time.Duration { return min(timeout/3, 2*time.Second) }

// maxListedTools bounds the tools that one server may list. It is far more than a model may be offered, since a request can choose
// among them.
const maxListedTools = 1024

// newMCPClient returns the client of all MCP servers, whoever asks for them.
func newMCPClient(c config.Config, roots *x509.CertPool, logger *slog.Logger) (*mcpclient.Client, error) {
	return mcpclient.New(mcpclient.Options{
		Network:        c.Network.Policy(),
		RootCAs:        roots,
		ConnectTimeout: c.Network.ConnectTimeout,
		ListTimeout:    c.Limits.Discovery.Timeout,
		CallTimeout:    c.Limits.Call.Timeout,
		MaxListBytes:   int64(c.Limits.ListBytes),
		MaxCallBytes:   int64(c.Limits.CallBytes),
		MaxSchemaBytes: int(c.Limits.SchemaBytes),
		MaxTools:       maxListedTools,
		// The limit per server is one of each run. Between runs, only the worker's own size bounds what a server gets.
		PerServerConcurrency: c.Worker.MaxConcurrentActivities,
		Version:              version(),
		Logger:               logger,
	})
}

// closeMCP ends a client's sessions.
func closeMCP(mcp *mcpclient.Client, logger *slog.Logger) {
	if err := mcp.Close(); err != nil {
		logger.Warn("MCP sessions did not end in time", "error", err)
	}
}

// newActivities also returns a function that closes what the activities hold open.
func newActivities(c config.Config, log *events.Log, blobs *blob.Stores, sealer *secret.Sealer, catalog *model.Catalog, connections *connection.Service, logger *slog.Logger) (*activities.Activities, func(), error) {
	roots, err := certificates(c.Network.CAFile)
	if err != nil {
		return nil, nil, err
	}
	mcp, err := newMCPClient(c, roots, logger)
	if err != nil {
		return nil, nil, err
	}
	webhooks, err := newWebhookSender(c, roots, logger)
	if err != nil {
		return nil, nil, err
	}
	models := model.New(model.Options{Catalog: catalog, RootCAs: roots, Logger: logger})
	steps, err := activities.New(activities.Options{
		Events: log, Blobs: blobs, MCP: mcp, Models: models, Sealer: sealer, Logger: logger, Webhooks: webhooks,
		Connections:    connections,
		Files:          newFiles(c, blobs, sealer, connections, logger),
		Payloads:       payload.NewDataConverter(newPayloads(c.Encryption, sealer, blobs).codec),
		HeartbeatEvery: heartbeatEvery(c.Limits.Model.Heartbeat),
		ModelTimeout:   c.Limits.Model.Timeout,
		MaxToolOutput:  int(c.Limits.ToolOutputToModel),

		MaxConversation: int64(c.Limits.ConversationBytes),
		SweepLimits:     activities.SweepLimits{Grace: c.Blobs.SweepGrace, EventAge: c.Events.MaxAge},
	})
	closeAll := func() {
		closeMCP(mcp, logger)
		models.Close()
		webhooks.Close()
	}
	return steps, closeAll, err
}

func workerOptions(c config.Config, logger *slog.Logger) (worker.Options, error) {
	build, err := buildID(c.Worker)
	return worker.Options{
		TaskQueue:        c.Temporal.TaskQueue,
		Deployment:       c.Worker.Deployment,
		BuildID:          build,
		MaxActivities:    c.Worker.MaxConcurrentActivities,
		MaxWorkflowTasks: c.Worker.MaxConcurrentWorkflowTasks,
		StopGrace:        c.Worker.StopGrace,
		SweepEvery:       c.Blobs.SweepEvery,
		Namespace:        namespaceOf(c.Temporal),
		Logger:           logger,
	}, err
}

// intakeOptions are those of a starter that are not about HTTP.
func intakeOptions(c config.Config, temporal client.Client, blobs *blob.Stores, sealer *secret.Sealer, catalog *model.Catalog, connections *connection.Service, logger *slog.Logger) (starter.Options, error) {
	retry, err := retryPolicies(c.MCP)
	files := newFiles(c, blobs, sealer, connections, logger)
	return starter.Options{
		Temporal: temporal, Namespace: namespaceOf(c.Temporal), TaskQueue: c.Temporal.TaskQueue,
		Webhooks: subscriptions(c.Webhooks).For,
		Dialect:  responses.Dialect(c.API.Dialect),
		Payloads: payload.NewDataConverter(newPayloads(c.Encryption, sealer, blobs).codec),
		Blobs:    blobs, Sealer: sealer, Catalog: catalog, Network: c.Network.Policy(), Retry: retry, Connections: connections,
		Files: files, Line: requestLine(files), Limits: starterLimits(c), Logger: logger,
	}, err
}

func starterOptions(c config.Config, temporal client.Client, log *events.Log, blobs *blob.Stores, sealer *secret.Sealer, catalog *model.Catalog, connections *connection.Service, logger *slog.Logger) (starter.Options, error) {
	o, err := intakeOptions(c, temporal, blobs, sealer, catalog, connections, logger)
	if err != nil {
		return starter.Options{}, err
	}
	if o.Keys, err = newKeyring(c.Auth.APIKeys, c.Limits); err != nil {
		return starter.Options{}, err
	}
	if o.Codec, err = codecEndpoint(c, newPayloads(c.Encryption, sealer, blobs)); err != nil {
		return starter.Options{}, err
	}
	o.Events, o.EventAge = log, c.Events.MaxAge
	o.KeyLimits = identity.Limits{
		RequestsPerMinute: c.Limits.RequestsPerMinute, RequestBurst: c.Limits.RequestBurst, ConcurrentRuns: c.Limits.ConcurrentRuns,
	}
	o.Pages = ui.Pages(pageOptions(c))
	o.SignIn, err = signInOptions(c)
	return o, err
}

func starterLimits(c config.Config) starter.Limits {
	return starter.Limits{
		Body:              int64(c.HTTP.MaxBody),
		MCPServers:        c.Limits.MCPServers,
		MaxSteps:          c.Limits.MaxSteps,
		MaxStepsCap:       c.Limits.MaxStepsCap,
		MaxToolCalls:      c.Limits.MaxToolCalls,
		RunTimeout:        c.Limits.RunTimeout,
		ReadHeaderTimeout: c.HTTP.ReadHeaderTimeout,
		Grace:             c.HTTP.ShutdownGrace,
		OpenRequests:      c.Limits.OpenRequests,
		BodyMemory:        int64(c.HTTP.BodyMemory),
		ConcurrentStarts:  c.HTTP.ConcurrentStarts,
		ToolOutput:        int(c.Limits.ToolOutputToModel),
		Batch:             batchLimits(c),
		Schedules:         c.Limits.Schedules,
		Run: workflows.Limits{
			Tools:                  c.Limits.Tools,
			ParallelCalls:          c.Limits.ParallelCalls,
			ParallelCallsPerServer: c.Limits.ParallelCallsPerServer,
			DiscoveryTimeout:       c.Limits.Discovery.Timeout,
			DiscoveryAttempts:      int32(c.Limits.Discovery.Attempts),
			ModelTimeout:           c.Limits.Model.Timeout,
			ModelAttempts:          int32(c.Limits.Model.Attempts),
			CallTimeout:            c.Limits.Call.Timeout,
			CallAttempts:           int32(c.Limits.Call.Attempts),
			Heartbeat:              c.Limits.Model.Heartbeat,
			Patience:               min(c.Limits.Patience, c.Limits.RunTimeout),
			HistoryEvents:          c.Limits.History.Events,
			HistoryBytes:           int(c.Limits.History.Bytes),
			ConversationBytes:      int64(c.Limits.ConversationBytes),
		},
	}
}

// pageOptions are what the pages need to know of the configuration.
func pageOptions(c config.Config) ui.Options {
	return ui.Options{TemporalUI: c.Temporal.UIURL, Namespace: namespaceOf(c.Temporal)}
}
