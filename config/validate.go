package config

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"perdure/internal/blob"
	"perdure/internal/responses"
)

var (
	providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	// webhookName is what an endpoint may be called: it goes into the IDs of workflows.
	webhookName = providerName
	// identityName is what keys, organizations and users may be called: it goes into logs, search attributes and
	// Temporal's fairness keys, which have 64 bytes.
	identityName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)
	headerName   = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	// credential is what can be sent as a credential in an HTTP header.
	credential  = regexp.MustCompile(`^[!-~]+$`)
	headerValue = regexp.MustCompile(`^[\t -~]*$`)
)

// Validate reports all problems of the configuration together, each with the path of its key and the remedy. It looks
// at the values only, not at files, variables or the network; Load does that before.
func (c Config) Validate() error {
	v := &validation{}
	c.HTTP.validate(v)
	c.API.validate(v)
	c.Temporal.validate(v)
	c.Events.validate(v)
	c.Blobs.validate(v)
	c.Files.validate(v)
	c.Batches.validate(v)
	c.Encryption.validate(v)
	c.Database.validate(v)
	c.Auth.validate(v)
	c.Auth.OIDC.validate(v, c.HTTP.PublicURL)
	c.Models.validate(v)
	c.Network.validate(v)
	c.MCP.validate(v)
	c.validateWebhooks(v)
	c.Limits.validate(v)
	if c.Limits.ConversationBytes < c.HTTP.MaxBody {
		v.report("limits.conversation_bytes", "must be at least http.max_body (%v): a conversation begins with what one request brings", c.HTTP.MaxBody)
	}
	c.Worker.validate(v)
	c.Client.validate(v)
	if c.Log.Format != "text" && c.Log.Format != "json" {
		v.report("log.format", "must be text or json")
	}
	return errors.Join(v.problems...)
}

func (h HTTP) validate(v *validation) {
	v.address("http.address", h.Address)
	if h.PublicURL != "" && !isOrigin(h.PublicURL) {
		v.report("http.public_url", "must be scheme://host or scheme://host:port in lower case and nothing more, with http or https")
	}
	v.positive("http.shutdown_grace", h.ShutdownGrace)
	v.atLeast("http.max_body", int64(h.MaxBody), 1)
	if h.MaxBody > blob.MaxBytes {
		v.report("http.max_body", "must be at most %v: larger values cannot be stored", Bytes(blob.MaxBytes))
	}
	v.positive("http.read_header_timeout", h.ReadHeaderTimeout)
	h.validateAdmission(v)
}

func (t Temporal) validate(v *validation) {
	if t.Address != "" {
		v.address("temporal.address", t.Address)
	}
	switch {
	case t.TaskQueue == "":
		v.report("temporal.task_queue", `is empty: remove the key for the default, "perdure"`)
	case strings.ContainsAny(t.TaskQueue, `'"\`):
		v.report("temporal.task_queue", "must have no quotes and no backslash: it goes into queries")
	}
	if t.UIURL != "" {
		v.baseURL("temporal.ui_url", t.UIURL)
	}
}

func (a Auth) validate(v *validation) {
	names, digests := map[string]string{}, map[[32]byte]string{}
	for i, k := range a.APIKeys {
		path := fmt.Sprintf("auth.api_keys[%d]", i)
		k.validate(v, path)
		if first, ok := names[k.Name]; ok && k.Name != "" {
			v.report(path+".name", "is the name of %s already: each key needs its own", first)
		}
		names[k.Name] = cmp.Or(names[k.Name], path)
		if k.Key.IsZero() && k.KeySHA256 == "" {
			continue
		}
		if first, ok := digests[k.Digest()]; ok {
			v.report(path, "has the same key as %s: each needs its own", first)
		}
		digests[k.Digest()] = cmp.Or(digests[k.Digest()], path)
	}
}

func (k APIKey) validate(v *validation, path string) {
	v.identity(path+".name", k.Name)
	v.identity(path+".organization", k.Organization)
	v.identity(path+".user", k.User)
	if k.Role != "" && k.Role != "admin" && k.Role != "member" {
		v.report(path+".role", "must be admin or member")
	}
	k.validateLimits(v, path)
	switch {
	case k.Key.IsZero() && k.KeySHA256 == "":
		v.report(path, "has no key: set one of key, key_env, key_file and key_sha256")
	case k.KeySHA256 == "":
		v.credential(path+".key", k.Key.Reveal())
	case !k.Key.IsZero():
		v.report(path+".key_sha256", "is set beside the key itself: keep one")
	default:
		if decoded, err := hex.DecodeString(k.KeySHA256); err != nil || len(decoded) != 32 {
			v.report(path+".key_sha256", "must be the SHA-256 of the key in 64 hexadecimal digits")
		}
	}
}

func (m Models) validate(v *validation) {
	for _, name := range slices.Sorted(maps.Keys(m.Providers)) {
		path := "models.providers." + name
		if !providerName.MatchString(name) {
			v.report(path, "a provider's name is lower-case letters, digits, - and _, at most 64")
		}
		m.Providers[name].validate(v, path)
	}
	if m.Default == "" {
		return
	}
	name, model, _ := strings.Cut(m.Default, "/")
	provider, ok := m.Providers[name]
	switch {
	case model == "":
		v.report("models.default", "must be provider/model, for example openai/gpt-5.5")
	case !ok:
		v.report("models.default", "there is no provider %q: add it to models.providers", name)
	case len(provider.Models) > 0 && !slices.Contains(provider.Models, model):
		v.report("models.default", "models.providers.%s.models does not list %q: add it there", name, model)
	}
}

func (p Provider) validate(v *validation, path string) {
	v.baseURL(path+".base_url", p.BaseURL)
	if !p.APIKey.IsZero() {
		v.credential(path+".api_key", p.APIKey.Reveal())
	}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		p.validateHeader(v, path, name)
	}
	for i, model := range p.Models {
		switch {
		case model == "":
			v.report(fmt.Sprintf("%s.models[%d]", path, i), "is empty: remove it")
		case slices.Index(p.Models, model) < i:
			v.report(fmt.Sprintf("%s.models[%d]", path, i), "%q is listed twice: remove one", model)
		}
	}
	if field := p.Quirks.MaxTokensField; field != "" && field != "max_completion_tokens" && field != "max_tokens" {
		v.report(path+".quirks.max_tokens_field", "must be max_completion_tokens or max_tokens")
	}
	if role := p.Quirks.SystemRole; role != "" && role != "system" && role != "developer" {
		v.report(path+".quirks.system_role", "must be system or developer")
	}
}

func (p Provider) validateHeader(v *validation, path, name string) {
	headerPath := path + ".headers." + name
	if !headerName.MatchString(name) {
		v.report(headerPath, "is not the name of an HTTP header")
	}
	if !headerValue.MatchString(p.Headers[name].Reveal()) {
		v.report(headerPath, "the value must be printable ASCII on one line")
	}
	switch strings.ToLower(name) {
	case "authorization":
		if !p.APIKey.IsZero() {
			v.report(headerPath, "the api_key is sent in this header: keep one of them")
		}
	case "host", "connection", "content-length", "content-type", "transfer-encoding", "accept", "accept-encoding":
		v.report(headerPath, "is set by the HTTP client: remove it")
	}
}

func (l Limits) validate(v *validation) {
	for _, count := range []struct {
		path   string
		n, min int64
	}{
		{"mcp_servers", int64(l.MCPServers), 1},
		{"tools", int64(l.Tools), 1},
		{"max_steps", int64(l.MaxSteps), 1},
		{"max_steps_cap", int64(l.MaxStepsCap), 1},
		{"max_tool_calls", int64(l.MaxToolCalls), 0},
		{"parallel_calls", int64(l.ParallelCalls), 1},
		{"parallel_calls_per_server", int64(l.ParallelCallsPerServer), 1},
		{"discovery.attempts", int64(l.Discovery.Attempts), 1},
		{"model.attempts", int64(l.Model.Attempts), 1},
		{"call.attempts", int64(l.Call.Attempts), 1},
		{"list_bytes", int64(l.ListBytes), 1},
		{"call_bytes", int64(l.CallBytes), 1},
		{"schema_bytes", int64(l.SchemaBytes), 1},
		{"tool_output_to_model", int64(l.ToolOutputToModel), 1},
		{"history.events", int64(l.History.Events), 1},
		{"history.bytes", int64(l.History.Bytes), 1},
	} {
		v.atLeast("limits."+count.path, count.n, count.min)
	}
	for _, d := range []struct {
		path  string
		value time.Duration
	}{
		{"discovery.timeout", l.Discovery.Timeout},
		{"model.timeout", l.Model.Timeout},
		{"model.heartbeat", l.Model.Heartbeat},
		{"call.timeout", l.Call.Timeout},
		{"run_timeout", l.RunTimeout},
		{"patience", l.Patience},
	} {
		v.positive("limits."+d.path, d.value)
	}
	l.validateAdmission(v)
	l.History.validate(v)
	if l.MaxStepsCap > responses.MaxSteps {
		v.report("limits.max_steps_cap", "must be at most %d: no request can name more", responses.MaxSteps)
	}
	if l.MaxSteps > l.MaxStepsCap {
		v.report("limits.max_steps", "is more than limits.max_steps_cap (%d): raise the cap or lower it", l.MaxStepsCap)
	}
	if l.Model.Heartbeat > l.Model.Timeout {
		v.report("limits.model.heartbeat", "must not be longer than limits.model.timeout (%v)", l.Model.Timeout)
	}
	if longest := max(l.Discovery.Timeout, l.Model.Timeout, l.Call.Timeout); l.RunTimeout < longest {
		v.report("limits.run_timeout", "must not be shorter than the timeout of one step (%v)", longest)
	}
}

// The longest history that a run may ask for leaves Temporal's own limits, 51,200 events and 50 MiB, room for the steps of a turn.
const (
	maxHistoryEvents = 40_000
	maxHistoryBytes  = 32 * MiB
)

func (h HistoryLimits) validate(v *validation) {
	if h.Events > maxHistoryEvents {
		v.report("limits.history.events", "must be at most %d: Temporal ends runs with longer histories", maxHistoryEvents)
	}
	if h.Bytes > maxHistoryBytes {
		v.report("limits.history.bytes", "must be at most %v: Temporal ends runs with larger histories", maxHistoryBytes)
	}
}
