// Package config is the configuration of Perdure as one value. Default returns it complete, Load reads it from a file,
// the environment and flags, and Validate reports everything that is wrong with it at once. The file example.yaml
// beside this one documents every key for operators.
//
// Only the command line reads this package. It hands the parts to the packages that need them, as plain values.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"perdure/internal/secret"
)

// Config is everything an operator can set. Printing it shows no secret.
type Config struct {
	HTTP     HTTP     `mapstructure:"http"`
	API      API      `mapstructure:"api"`
	Temporal Temporal `mapstructure:"temporal"`
	Events   Events   `mapstructure:"events"`
	Data     Data     `mapstructure:"data"`
	Database Database `mapstructure:"database"`
	Blobs    Blobs    `mapstructure:"blobs"`
	Files    Files    `mapstructure:"files"`
	Batches  Batches  `mapstructure:"batches"`
	Secrets  Secrets  `mapstructure:"secrets"`

	Encryption Encryption `mapstructure:"encryption"`

	Auth    Auth    `mapstructure:"auth"`
	Models  Models  `mapstructure:"models"`
	Network Network `mapstructure:"network"`
	MCP     MCP     `mapstructure:"mcp"`
	Limits  Limits  `mapstructure:"limits"`
	Worker  Worker  `mapstructure:"worker"`
	Log     Log     `mapstructure:"log"`

	Webhooks []Webhook `mapstructure:"webhooks"`

	Client Client `mapstructure:"client"`
}

// Client is which server the commands that call the API talk to, and as whom. Servers do not read it.
type Client struct {
	URL        string        `mapstructure:"url"`
	APIKey     secret.String `mapstructure:"api_key"`      // Load fills it from APIKeyEnv or APIKeyFile
	APIKeyEnv  string        `mapstructure:"api_key_env"`  // name of an environment variable that holds the key
	APIKeyFile string        `mapstructure:"api_key_file"` // path of a file that holds the key
}

// HTTP is how the API is served.
type HTTP struct {
	Address           string        `mapstructure:"address"`             // host:port; port 0 takes any free one
	PublicURL         string        `mapstructure:"public_url"`          // origin under which browsers reach the API; optional
	ShutdownGrace     time.Duration `mapstructure:"shutdown_grace"`      // time for open requests to end
	MaxBody           Bytes         `mapstructure:"max_body"`            // of one request
	BodyMemory        Bytes         `mapstructure:"body_memory"`         // of all requests that are being read and started
	ConcurrentStarts  int           `mapstructure:"concurrent_starts"`   // of runs, that Temporal has not confirmed yet
	ReadHeaderTimeout time.Duration `mapstructure:"read_header_timeout"` // for the headers of one request
}

// API is which of the APIs that Perdure knows /v1/responses speaks. /v1/agent always speaks the Agent API's.
type API struct {
	Dialect string `mapstructure:"dialect"` // "agent" or "openai"
}

// Temporal is where the runs live. While Address and Namespace are empty, Temporal's own environment configuration
// decides (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*, and profiles in temporal.toml).
type Temporal struct {
	Address   string `mapstructure:"address"` // host:port
	Namespace string `mapstructure:"namespace"`
	TaskQueue string `mapstructure:"task_queue"`
	UIURL     string `mapstructure:"ui_url"` // base URL of Temporal's Web UI, for links; optional
}

// Events is where steps tell of their work, for streams: NATS JetStream.
type Events struct {
	URL             string        `mapstructure:"url"`              // servers, separated by commas; empty for one in this process
	CredentialsFile string        `mapstructure:"credentials_file"` // path; optional, with URL
	Listen          string        `mapstructure:"listen"`           // host:port of the server in this process; optional
	MaxAge          time.Duration `mapstructure:"max_age"`          // how long events are kept
	Replicas        int           `mapstructure:"replicas"`         // copies of each event in a cluster
}

// Data is the directory for what a machine keeps. Worker and starter share it.
type Data struct {
	Dir string `mapstructure:"dir"`
}

// Secrets is the Tink keyset that seals secrets at rest, given in one of three ways; without any it is the file
// keyset.json in the data directory.
type Secrets struct {
	Keyset     secret.String `mapstructure:"keyset"`      // the keyset itself: cleartext JSON
	KeysetEnv  string        `mapstructure:"keyset_env"`  // name of an environment variable that holds it
	KeysetFile string        `mapstructure:"keyset_file"` // path; the file is made if it is missing
}

// Auth is who may call the API.
type Auth struct {
	APIKeys []APIKey `mapstructure:"api_keys"`
	OIDC    OIDC     `mapstructure:"oidc"`
}

// APIKey is one key for the API. The key itself is given in exactly one of four ways.
type APIKey struct {
	Name         string        `mapstructure:"name"`
	Key          secret.String `mapstructure:"key"`        // Load fills it from KeyEnv or KeyFile
	KeyEnv       string        `mapstructure:"key_env"`    // name of an environment variable that holds the key
	KeyFile      string        `mapstructure:"key_file"`   // path of a file that holds the key
	KeySHA256    string        `mapstructure:"key_sha256"` // SHA-256 of the key in hexadecimal
	Organization string        `mapstructure:"organization"`
	User         string        `mapstructure:"user"` // Load sets it to Name when it is empty
	Role         string        `mapstructure:"role"` // "admin" or "member"; empty for member

	RequestsPerMinute Override `mapstructure:"requests_per_minute"` // in the place of that of Limits; 0 is no limit
	ConcurrentRuns    Override `mapstructure:"concurrent_runs"`     // likewise
}

// Models is the model providers and the model for requests that name none.
type Models struct {
	Default   string              `mapstructure:"default"` // provider/model; optional
	Providers map[string]Provider `mapstructure:"providers"`
}

// Provider is an endpoint that speaks OpenAI's chat completions API. Requests name its models "provider/model".
type Provider struct {
	BaseURL    string                   `mapstructure:"base_url"`
	APIKey     secret.String            `mapstructure:"api_key"`      // Load fills it from APIKeyEnv or APIKeyFile
	APIKeyEnv  string                   `mapstructure:"api_key_env"`  // name of an environment variable that holds the key
	APIKeyFile string                   `mapstructure:"api_key_file"` // path of a file that holds the key
	Headers    map[string]secret.String `mapstructure:"headers"`      // sent with each request; Load adds HeadersEnv
	HeadersEnv map[string]string        `mapstructure:"headers_env"`  // header → name of an environment variable
	Models     []string                 `mapstructure:"models"`       // the models on offer; empty passes any name on
	Quirks     Quirks                   `mapstructure:"quirks"`
}

// Quirks is what a provider does differently from OpenAI.
type Quirks struct {
	MaxTokensField      string `mapstructure:"max_tokens_field"` // "max_completion_tokens" or "max_tokens"
	NoStreamUsage       bool   `mapstructure:"no_stream_usage"`
	NoParallelToolCalls bool   `mapstructure:"no_parallel_tool_calls"`
	NoJSONSchema        bool   `mapstructure:"no_json_schema"`
	StrictSchemas       bool   `mapstructure:"strict_schemas"`
	SystemRole          string `mapstructure:"system_role"` // "system" or "developer"
}

// Webhook is an endpoint that hears how responses ended. Its secret is given in exactly one of three ways.
type Webhook struct {
	Name       string        `mapstructure:"name"`
	URL        string        `mapstructure:"url"`
	Secret     secret.String `mapstructure:"secret"`      // Load fills it from SecretEnv or SecretFile; see Secrets
	SecretEnv  string        `mapstructure:"secret_env"`  // name of an environment variable that holds the secret
	SecretFile string        `mapstructure:"secret_file"` // path of a file that holds the secret

	Events        []string `mapstructure:"events"`        // types of events; empty for all
	Organizations []string `mapstructure:"organizations"` // whose responses; empty for all
}

// Network is which MCP servers and webhooks may be reached beyond public addresses over https.
type Network struct {
	AllowNetworks []netip.Prefix `mapstructure:"allow_networks"`
	AllowOrigins  []string       `mapstructure:"allow_origins"` // scheme://host[:port]; the port may be *
	CAFile        string         `mapstructure:"ca_file"`       // PEM certificates trusted in addition to the system's

	ConnectTimeout time.Duration `mapstructure:"connect_timeout"` // of a connection; of a TLS handshake; of an MCP session
	Proxy          Proxy         `mapstructure:"proxy"`
}

// Limits bounds a run. A count is of one run unless it says otherwise.
type Limits struct {
	MCPServers             int `mapstructure:"mcp_servers"`
	Tools                  int `mapstructure:"tools"`          // offered to the model, of all servers together
	MaxSteps               int `mapstructure:"max_steps"`      // model turns, when the request names no number
	MaxStepsCap            int `mapstructure:"max_steps_cap"`  // the largest number a request may name
	MaxToolCalls           int `mapstructure:"max_tool_calls"` // MCP calls; 0 is unlimited
	ParallelCalls          int `mapstructure:"parallel_calls"`
	ParallelCallsPerServer int `mapstructure:"parallel_calls_per_server"`

	Discovery DiscoveryLimits `mapstructure:"discovery"`
	Model     ModelLimits     `mapstructure:"model"`
	Call      CallLimits      `mapstructure:"call"`

	ListBytes         Bytes         `mapstructure:"list_bytes"`           // one answer to tools/list
	CallBytes         Bytes         `mapstructure:"call_bytes"`           // one answer to tools/call
	SchemaBytes       Bytes         `mapstructure:"schema_bytes"`         // one tool's input schema
	ToolOutputToModel Bytes         `mapstructure:"tool_output_to_model"` // beyond it the model sees a cut text
	ConversationBytes Bytes         `mapstructure:"conversation_bytes"`   // all items together
	RunTimeout        time.Duration `mapstructure:"run_timeout"`
	Patience          time.Duration `mapstructure:"patience"` // with what is away: see example.yaml

	History HistoryLimits `mapstructure:"history"`

	// What one API key may use.
	RequestsPerMinute int `mapstructure:"requests_per_minute"` // at one starter; 0 is no limit
	RequestBurst      int `mapstructure:"request_burst"`       // how many of them at once
	ConcurrentRuns    int `mapstructure:"concurrent_runs"`     // at all starters together; 0 is no limit
	OpenRequests      int `mapstructure:"open_requests"`       // at one starter, streams and WebSockets among them

	Schedules int `mapstructure:"schedules"` // of one organization; 0 lets nobody have any
}

// HistoryLimits bounds the history of one execution in Temporal. A run goes on as a new execution with the first turn that ends beyond them.
type HistoryLimits struct {
	Events int   `mapstructure:"events"`
	Bytes  Bytes `mapstructure:"bytes"`
}

// DiscoveryLimits bounds the listing of one MCP server's tools.
type DiscoveryLimits struct {
	Timeout  time.Duration `mapstructure:"timeout"` // of one attempt
	Attempts int           `mapstructure:"attempts"`
}

// ModelLimits bounds one model turn.
type ModelLimits struct {
	Timeout   time.Duration `mapstructure:"timeout"` // of one attempt
	Attempts  int           `mapstructure:"attempts"`
	Heartbeat time.Duration `mapstructure:"heartbeat"` // a turn whose worker is silent for longer is given to another one
}

// CallLimits bounds one MCP tool call.
type CallLimits struct {
	Timeout  time.Duration `mapstructure:"timeout"`  // of one attempt
	Attempts int           `mapstructure:"attempts"` // where a repetition is safe
}

// Log is what the processes write about themselves.
type Log struct {
	Level  slog.Level `mapstructure:"level"`
	Format string     `mapstructure:"format"` // "text" or "json"
}

// Default returns the configuration that holds where an operator sets nothing.
func Default() Config {
	return Config{
		HTTP: HTTP{
			Address:           "127.0.0.1:8080",
			ShutdownGrace:     20 * time.Second,
			MaxBody:           32 * MiB,
			BodyMemory:        256 * MiB,
			ConcurrentStarts:  256,
			ReadHeaderTimeout: 10 * time.Second,
		},
		API:      API{Dialect: "agent"},
		Auth:     Auth{OIDC: OIDC{GroupsClaim: "groups"}},
		Network:  Network{ConnectTimeout: 10 * time.Second, Proxy: Proxy{Resolve: "here"}},
		Temporal: Temporal{TaskQueue: "perdure"},
		Events:   Events{MaxAge: 24 * time.Hour, Replicas: 1},
		Blobs:    Blobs{SweepEvery: 6 * time.Hour, SweepGrace: 24 * time.Hour},
		Files:    Files{MaxSize: 512 * MiB, MaxLines: 200_000, ExpireAfter: 30 * 24 * time.Hour},
		Batches:  Batches{Concurrency: 32, TenantConcurrency: 64, UnderWay: 100, HistoryEvents: 9000},
		Database: Database{MaxConnections: 16, MaxIdleConnections: 4},
		MCP:      MCP{Retry: "safe"},
		Limits: Limits{
			MCPServers:             16,
			Tools:                  128,
			MaxSteps:               10,
			MaxStepsCap:            100,
			ParallelCalls:          16,
			ParallelCallsPerServer: 8,
			Discovery:              DiscoveryLimits{Timeout: 15 * time.Second, Attempts: 3},
			Model:                  ModelLimits{Timeout: 10 * time.Minute, Attempts: 6, Heartbeat: 5 * time.Second},
			Call:                   CallLimits{Timeout: 5 * time.Minute, Attempts: 4},
			ListBytes:              4 * MiB,
			CallBytes:              8 * MiB,
			SchemaBytes:            64 * KiB,
			ToolOutputToModel:      100 * KB,
			ConversationBytes:      64 * MiB,
			RunTimeout:             24 * time.Hour,
			Patience:               10 * time.Minute,
			History:                HistoryLimits{Events: 2500, Bytes: 2500 * KB},
			RequestsPerMinute:      6000,
			RequestBurst:           1000,
			ConcurrentRuns:         1000,
			OpenRequests:           2000,
			Schedules:              100,
		},
		Worker: Worker{
			MaxConcurrentActivities:    200,
			MaxConcurrentWorkflowTasks: 100,
			StopGrace:                  20 * time.Second,
			Deployment:                 "perdure",
		},
		Log: Log{Level: slog.LevelInfo, Format: "text"},
	}
}

// RequireDataDir reports that no data directory is set. Worker and starter cannot work without one; other commands can.
func (c Config) RequireDataDir() error {
	if c.Data.Dir == "" {
		return errors.New("data.dir: is not set: name a directory that this process can write and " +
			"that worker and starter share (PERDURE_DATA_DIR)")
	}
	return nil
}

// RequireEventsURL reports that no event log is named. A server in this process would be one that other processes do not know, so
// only what runs everything in one process can do without.
func (c Config) RequireEventsURL() error {
	if c.Events.URL == "" {
		return errors.New("events.url: is not set: name the NATS server, with JetStream, that worker and starter share, for example " +
			"nats://nats:4222 (PERDURE_EVENTS_URL)")
	}
	return nil
}

// EventsDir is the directory of the event log when its server is in this process.
func (c Config) EventsDir() string { return filepath.Join(c.Data.Dir, "events") }

// BlobDir is the directory of large values, without a bucket for them.
func (c Config) BlobDir() string { return filepath.Join(c.Data.Dir, "blobs") }

// KeysetFile is the file of the keyset. It matters only while Secrets.Keyset is empty.
func (c Config) KeysetFile() string {
	if c.Secrets.KeysetFile != "" {
		return c.Secrets.KeysetFile
	}
	return filepath.Join(c.Data.Dir, "keyset.json")
}

// Digest returns the SHA-256 of the key, in whichever way the key was given. The API compares keys by it. It is
// meaningful in a configuration that Validate accepts.
func (k APIKey) Digest() [sha256.Size]byte {
	if k.KeySHA256 == "" {
		return sha256.Sum256([]byte(k.Key.Reveal()))
	}
	var digest [sha256.Size]byte
	if decoded, err := hex.DecodeString(k.KeySHA256); err == nil {
		copy(digest[:], decoded)
	}
	return digest
}
