package config

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/secret"
)

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// valid is a configuration in which everything optional is set.
func valid() Config {
	c := Default()
	c.Temporal.Address, c.Temporal.UIURL = "temporal.internal:7233", "https://temporal.internal/ui"
	c.Auth.APIKeys = []APIKey{
		{Name: "ci", Key: secret.New("ci-key"), Organization: "acme", User: "ci@acme.example"},
		{Name: "ops", KeySHA256: strings.Repeat("aB", 32), Organization: "acme", User: "ops"},
	}
	c.Models.Default = "openai/gpt/5"
	c.Models.Providers = map[string]Provider{
		"openai": {BaseURL: "https://api.openai.com/v1", APIKey: secret.New("key"), Models: []string{"gpt/5"}},
		"local-1": {
			BaseURL: "http://[::1]:11434", Headers: map[string]secret.String{"Authorization": secret.New("Basic abc=")},
			Quirks: Quirks{MaxTokensField: "max_tokens", SystemRole: "developer"},
		},
	}
	c.Webhooks = []Webhook{
		{Name: "first", URL: "https://hooks.example.com/a?b=c", Secret: secret.New(webhookSecret)},
		{Name: "second", URL: "https://8.8.8.8:8443", Secret: secret.New(webhookSecret)},
	}
	c.Network.Proxy = Proxy{URL: "http://proxy.internal:3128", Credentials: secret.New("user:password"), Resolve: "proxy"}
	c.Network.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/0")}
	c.Network.AllowOrigins = []string{"http://localhost", "http://localhost:*", "https://a.example:8443", "http://[::1]:*", "http://10.0.0.1:80"}
	return c
}

func TestValidate(t *testing.T) {
	t.Parallel()
	key := func(change func(*APIKey)) func(*Config) {
		return func(c *Config) { change(&c.Auth.APIKeys[0]) }
	}
	provider := func(change func(*Provider)) func(*Config) {
		return func(c *Config) {
			p := c.Models.Providers["openai"]
			change(&p)
			c.Models.Providers["openai"] = p
		}
	}
	baseURL := func(text string) func(*Config) { return provider(func(p *Provider) { p.BaseURL = text }) }
	header := func(name, value string) func(*Config) {
		return provider(func(p *Provider) { p.Headers = map[string]secret.String{name: secret.New(value)} })
	}
	origin := func(text string) func(*Config) { return func(c *Config) { c.Network.AllowOrigins = []string{text} } }
	prefix := func(p netip.Prefix) func(*Config) {
		return func(c *Config) { c.Network.AllowNetworks = []netip.Prefix{p} }
	}
	proxy := func(change func(*Proxy)) func(*Config) { return func(c *Config) { change(&c.Network.Proxy) } }
	for name, test := range map[string]struct {
		change func(*Config)
		want   []string // empty: valid
	}{
		"nothing":               {func(*Config) {}, nil},
		"address without port":  {func(c *Config) { c.HTTP.Address = "localhost" }, []string{"http.address: must be host:port"}},
		"address with a name":   {func(c *Config) { c.HTTP.Address = ":http" }, []string{"http.address: must be host:port"}},
		"address as a URL":      {func(c *Config) { c.Temporal.Address = "http://temporal:7233" }, []string{"temporal.address: must be host:port"}},
		"any free port":         {func(c *Config) { c.HTTP.Address = "127.0.0.1:0" }, nil},
		"port too large":        {func(c *Config) { c.HTTP.Address = ":65536" }, []string{"http.address"}},
		"http durations, sizes": {func(c *Config) { c.HTTP = HTTP{Address: ":1", MaxBody: -1} }, []string{"http.shutdown_grace: must be longer", "http.max_body: must be at least 1", "http.read_header_timeout: must be longer", "http.concurrent_starts: must be at least 2"}},
		"body of any size":      {func(c *Config) { c.HTTP.MaxBody, c.HTTP.BodyMemory = 81*MiB, 512*MiB }, []string{"http.max_body: must be at most 80MiB", "limits.conversation_bytes: must be at least http.max_body (81MiB)"}},
		"largest body": {func(c *Config) {
			c.HTTP.MaxBody, c.HTTP.BodyMemory, c.Limits.ConversationBytes = 80*MiB, 512*MiB, 80*MiB
		}, nil},
		"small conversations":   {func(c *Config) { c.Limits.ConversationBytes = c.HTTP.MaxBody - 1 }, []string{"limits.conversation_bytes: must be at least http.max_body (32MiB)"}},
		"more steps than any":   {func(c *Config) { c.Limits.MaxStepsCap = 101 }, []string{"limits.max_steps_cap: must be at most 100"}},
		"no time to connect":    {func(c *Config) { c.Network.ConnectTimeout = 0 }, []string{"network.connect_timeout: must be longer than 0"}},
		"no proxy":              {proxy(func(p *Proxy) { *p = Proxy{Resolve: "here"} }), nil},
		"proxy's URL":           {proxy(func(p *Proxy) { p.URL = "socks5://a" }), []string{"network.proxy: the URL must be http://host:port"}},
		"proxy's URL with user": {proxy(func(p *Proxy) { p.URL = "http://u:p@a" }), []string{"network.proxy: the URL holds credentials"}},
		"proxy's credentials":   {proxy(func(p *Proxy) { p.Credentials = secret.New("user") }), []string{"network.proxy: the credentials must be user:password"}},
		"credentials, no proxy": {proxy(func(p *Proxy) { p.URL = "" }), []string{"network.proxy: the proxy has credentials and no URL"}},
		"proxy's names":         {proxy(func(p *Proxy) { p.Resolve = "there" }), []string{"network.proxy.resolve: must be here or proxy"}},
		"no task queue":         {func(c *Config) { c.Temporal.TaskQueue = "" }, []string{"temporal.task_queue: is empty"}},
		"quoted task queue":     {func(c *Config) { c.Temporal.TaskQueue = "a'b" }, []string{"temporal.task_queue: must have no quotes"}},
		"UI without scheme":     {func(c *Config) { c.Temporal.UIURL = "temporal.internal" }, []string{"temporal.ui_url: must be a URL"}},

		"key without name": {key(func(k *APIKey) { k.Name = "" }), []string{"auth.api_keys[0].name: must be"}},
		"long name":        {key(func(k *APIKey) { k.Name = strings.Repeat("a", 65) }), []string{"auth.api_keys[0].name: must be"}},
		"role":             {key(func(k *APIKey) { k.Role = "owner" }), []string{"auth.api_keys[0].role: must be admin or member"}},
		"admin":            {key(func(k *APIKey) { k.Role = "admin" }), nil},
		"identity":         {key(func(k *APIKey) { k.Organization, k.User = "a b", "-a" }), []string{"auth.api_keys[0].organization: must be", "auth.api_keys[0].user: must be"}},
		"no key":           {key(func(k *APIKey) { k.Key = secret.String{} }), []string{"auth.api_keys[0]: has no key"}},
		"key with a space": {key(func(k *APIKey) { k.Key = secret.New("a b") }), []string{"auth.api_keys[0].key: must be printable"}},
		"key with accents": {key(func(k *APIKey) { k.Key = secret.New("clé") }), []string{"auth.api_keys[0].key: must be printable"}},
		"key and hash":     {key(func(k *APIKey) { k.KeySHA256 = strings.Repeat("0", 64) }), []string{"auth.api_keys[0].key_sha256: is set beside"}},
		"short hash":       {func(c *Config) { c.Auth.APIKeys[1].KeySHA256 = "abcd" }, []string{"auth.api_keys[1].key_sha256: must be"}},
		"not a hash":       {func(c *Config) { c.Auth.APIKeys[1].KeySHA256 = strings.Repeat("x", 64) }, []string{"auth.api_keys[1].key_sha256: must be"}},
		"name twice":       {func(c *Config) { c.Auth.APIKeys[1].Name = "ci" }, []string{"auth.api_keys[1].name: is the name of auth.api_keys[0]"}},
		"key twice": {func(c *Config) {
			c.Auth.APIKeys = append(c.Auth.APIKeys, c.Auth.APIKeys[0])
			c.Auth.APIKeys[2].Name = "x"
		}, []string{"auth.api_keys[2]: has the same key as auth.api_keys[0]"}},
		"key, and its hash": {func(c *Config) {
			c.Auth.APIKeys[0].Key = secret.New("hello")
			c.Auth.APIKeys[1].KeySHA256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
		}, []string{"auth.api_keys[1]: has the same key"}},

		"default of no provider": {func(c *Config) { c.Models.Default = "other/gpt" }, []string{`models.default: there is no provider "other"`}},
		"default without model":  {func(c *Config) { c.Models.Default = "openai" }, []string{"models.default: must be provider/model"}},
		"default without name":   {func(c *Config) { c.Models.Default = "openai/" }, []string{"models.default: must be provider/model"}},
		"default not listed":     {func(c *Config) { c.Models.Default = "openai/gpt" }, []string{`models.default: models.providers.openai.models does not list "gpt"`}},
		"default of any model":   {func(c *Config) { c.Models.Default = "local-1/anything" }, nil},
		"no default":             {func(c *Config) { c.Models.Default = "" }, nil},
		"provider's name":        {func(c *Config) { c.Models.Providers["Open/AI"] = c.Models.Providers["openai"] }, []string{"models.providers.Open/AI: a provider's name"}},
		"provider's long name":   {func(c *Config) { c.Models.Providers[strings.Repeat("a", 65)] = c.Models.Providers["openai"] }, []string{": a provider's name"}},
		"no URL":                 {baseURL(""), []string{"models.providers.openai.base_url: is not set"}},
		"URL of another scheme":  {baseURL("ftp://a/v1"), []string{"models.providers.openai.base_url: must be a URL with http"}},
		"URL without host":       {baseURL("https:///v1"), []string{"base_url: must be a URL with http"}},
		"URL with a bad port":    {baseURL("https://a:0/v1"), []string{"base_url: must be a URL with http"}},
		"URL with user":          {baseURL("https://u:p@a/v1"), []string{"base_url: must not contain a user name"}},
		"URL with query":         {baseURL("https://a/v1?key=x"), []string{"base_url: must not contain a query"}},
		"URL with empty query":   {baseURL("https://a/v1?"), []string{"base_url: must not contain a query"}},
		"URL with fragment":      {baseURL("https://a/v1#"), []string{"base_url: must not contain a query or fragment"}},
		"provider's key":         {provider(func(p *Provider) { p.APIKey = secret.New("a\nb") }), []string{"models.providers.openai.api_key: must be printable"}},
		"header's name":          {header("a b", "x"), []string{"models.providers.openai.headers.a b: is not the name"}},
		"header's value":         {header("x", "a\r\nb: c"), []string{"models.providers.openai.headers.x: the value must be"}},
		"header of the key":      {header("authorization", "Bearer x"), []string{"headers.authorization: the api_key is sent"}},
		"header of the client":   {header("Content-Type", "x"), []string{"headers.Content-Type: is set by the HTTP client"}},
		"model twice":            {provider(func(p *Provider) { p.Models = []string{"gpt/5", "", "gpt/5"} }), []string{"models.providers.openai.models[1]: is empty", "models.providers.openai.models[2]: \"gpt/5\" is listed twice"}},
		"quirks":                 {provider(func(p *Provider) { p.Quirks = Quirks{MaxTokensField: "n", SystemRole: "user"} }), []string{"openai.quirks.max_tokens_field: must be", "openai.quirks.system_role: must be"}},

		"network with host bits": {prefix(netip.MustParsePrefix("10.0.0.1/8")), []string{"network.allow_networks[0]: 10.0.0.1/8 has bits after the prefix: write 10.0.0.0/8"}},
		"network mapped":         {prefix(netip.MustParsePrefix("::ffff:10.0.0.0/104")), []string{"network.allow_networks[0]: write it as an IPv4 network"}},
		"network not set":        {prefix(netip.Prefix{}), []string{"network.allow_networks[0]: must be a network"}},
		"origin with path":       {origin("https://a/"), []string{"network.allow_origins[0]: must be scheme://host"}},
		"origin in upper case":   {origin("https://A"), []string{"network.allow_origins[0]"}},
		"origin of all hosts":    {origin("http://*"), []string{"network.allow_origins[0]"}},
		"origin of subdomains":   {origin("http://*.a.example"), []string{"network.allow_origins[0]"}},
		"origin without host":    {origin("http://:*"), []string{"network.allow_origins[0]"}},
		"origin without scheme":  {origin("localhost:8080"), []string{"network.allow_origins[0]"}},
		"origin of other scheme": {origin("ws://a"), []string{"network.allow_origins[0]"}},
		"origin with user":       {origin("http://u@a"), []string{"network.allow_origins[0]"}},
		"origin with two ports":  {origin("http://a:80:*"), []string{"network.allow_origins[0]"}},
		"origin with empty port": {origin("http://a:"), []string{"network.allow_origins[0]"}},
		"origin with bad port":   {origin("http://a:99999"), []string{"network.allow_origins[0]"}},
		"origin of no address":   {origin("http://[zz]"), []string{"network.allow_origins[0]"}},
		"origin with query":      {origin("http://a?b"), []string{"network.allow_origins[0]"}},

		"no limits": {func(c *Config) { c.Limits, c.Models = Limits{MaxToolCalls: -1}, Models{} }, []string{
			"limits.mcp_servers: must be at least 1", "limits.tools:", "limits.max_steps:", "limits.max_steps_cap:",
			"limits.max_tool_calls: must be at least 0", "limits.parallel_calls:", "limits.parallel_calls_per_server:",
			"limits.discovery.attempts:", "limits.model.attempts:", "limits.call.attempts:", "limits.list_bytes:",
			"limits.call_bytes:", "limits.schema_bytes:", "limits.tool_output_to_model:",
			"limits.history.events: must be at least 1", "limits.history.bytes: must be at least 1", "limits.discovery.timeout:",
			"limits.model.timeout:", "limits.model.heartbeat:", "limits.call.timeout:", "limits.run_timeout:", "limits.patience:",
			"limits.request_burst: must be at least 1", "limits.open_requests: must be at least 1", "limits.conversation_bytes: must be at least",
		}},
		"steps over the cap":   {func(c *Config) { c.Limits.MaxSteps = 101 }, []string{"limits.max_steps: is more than limits.max_steps_cap (100)"}},
		"heartbeat over limit": {func(c *Config) { c.Limits.Model.Heartbeat = time.Hour }, []string{"limits.model.heartbeat: must not be longer than limits.model.timeout (10m0s)"}},
		"short run":            {func(c *Config) { c.Limits.RunTimeout = time.Minute }, []string{"limits.run_timeout: must not be shorter than the timeout of one step (10m0s)"}},
		"long history":         {func(c *Config) { c.Limits.History = HistoryLimits{40_001, 33 * MiB} }, []string{"limits.history.events: must be at most 40000", "limits.history.bytes: must be at most 32MiB"}},
		"one workflow task":    {func(c *Config) { c.Worker = Worker{MaxConcurrentWorkflowTasks: 1, Deployment: "d"} }, []string{"worker.max_concurrent_activities: must be at least 1", "worker.max_concurrent_workflow_tasks: must be at least 2", "worker.stop_grace: must be longer"}},
		"no deployment":        {func(c *Config) { c.Worker.Deployment = "" }, []string{"worker.deployment: must be letters"}},
		"dot in a deployment":  {func(c *Config) { c.Worker.Deployment = "a.b" }, []string{"worker.deployment: must be letters"}},
		"blank in a build ID":  {func(c *Config) { c.Worker.BuildID = "v1 beta" }, []string{"worker.build_id: must be letters"}},
		"reserved build ID":    {func(c *Config) { c.Worker.BuildID = "__unversioned__" }, []string{"worker.build_id: must be letters"}},
		"log format":           {func(c *Config) { c.Log.Format = "xml" }, []string{"log.format: must be text or json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			test.change(&c)
			var lines []string
			if err := c.Validate(); err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(test.want) {
				t.Fatalf("%d problems, want %d:\n%s", len(lines), len(test.want), strings.Join(lines, "\n"))
			}
			for i, line := range lines {
				if !strings.Contains(line, test.want[i]) {
					t.Errorf("problem %d: %s\nwant it to contain: %s", i, line, test.want[i])
				}
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	c := Default()
	if err := c.RequireDataDir(); err == nil || !strings.Contains(err.Error(), "data.dir") {
		t.Errorf("RequireDataDir: %v, want an error that names data.dir", err)
	}
	c.Data.Dir = "/data"
	if err := c.RequireDataDir(); err != nil {
		t.Error(err)
	}
	if got, want := c.BlobDir(), "/data/blobs"; got != want {
		t.Errorf("BlobDir = %s, want %s", got, want)
	}
	if got, want := c.KeysetFile(), "/data/keyset.json"; got != want {
		t.Errorf("KeysetFile = %s, want %s", got, want)
	}
	c.Secrets.KeysetFile = "/keys/k.json"
	if got, want := c.KeysetFile(), "/keys/k.json"; got != want {
		t.Errorf("KeysetFile = %s, want %s", got, want)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want Bytes // -1: an error
		back string
	}{
		{"0", 0, "0B"},
		{"512", 512, "512B"},
		{"512B", 512, "512B"},
		{"100KB", 100_000, "100KB"},
		{"64KiB", 65_536, "64KiB"},
		{"32MiB", 33_554_432, "32MiB"},
		{"32 mib", 33_554_432, "32MiB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"2MB", 2_000_000, "2MB"},
		{"3GB", 3_000_000_000, "3GB"},
		{"1GiB", 1 << 30, "1GiB"},
		{"8589934591GiB", 8589934591 << 30, "8589934591GiB"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807B"},
		{"8589934592GiB", -1, ""},
		{"9223372036854775808", -1, ""},
		{"", -1, ""},
		{"B", -1, ""},
		{"-1", -1, ""},
		{"-1KB", -1, ""},
		{"1.5MiB", -1, ""},
		{"1MiBB", -1, ""},
		{"1M", -1, ""},
		{"1TB", -1, ""},
		{"0x10", -1, ""},
		{"1_000", -1, ""},
		{" 1", -1, ""},
		{"1 KB ", -1, ""},
	} {
		var got Bytes = -1
		err := got.UnmarshalText([]byte(test.text))
		if (err != nil) != (test.want == -1) || got != test.want {
			t.Errorf("%q: %d, %v, want %d", test.text, got, err, test.want)
			continue
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(test.back, got.String()); diff != "" {
			t.Errorf("%q: String (-want +got):\n%s", test.text, diff)
		}
		var again Bytes
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q: read back from %s as %d, %v", test.text, got, again, err)
		}
	}
}
