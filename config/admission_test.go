package config

import (
	"strings"
	"testing"
)

func TestAdmission(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string // empty: it is valid
	}{
		"no limits": {func(c *Config) { c.Limits.RequestsPerMinute, c.Limits.ConcurrentRuns = 0, 0 }, ""},
		"no limits for a key": {func(c *Config) {
			c.Auth.APIKeys[0].RequestsPerMinute, c.Auth.APIKeys[0].ConcurrentRuns = Override{Set: true}, Override{Set: true}
		}, ""},
		"just enough memory": {func(c *Config) { c.HTTP.MaxBody, c.HTTP.BodyMemory = MiB, 2*MiB }, ""},

		"too little memory": {func(c *Config) { c.HTTP.BodyMemory = 2*c.HTTP.MaxBody - 1 }, "http.body_memory: must be at least twice http.max_body (32MiB)"},
		"one start":         {func(c *Config) { c.HTTP.ConcurrentStarts = 1 }, "http.concurrent_starts: must be at least 2"},
		"negative rate":     {func(c *Config) { c.Limits.RequestsPerMinute = -1 }, "limits.requests_per_minute: must be at least 0"},
		"no burst":          {func(c *Config) { c.Limits.RequestBurst = 0 }, "limits.request_burst: must be at least 1"},
		"negative runs":     {func(c *Config) { c.Limits.ConcurrentRuns = -1 }, "limits.concurrent_runs: must be at least 0"},
		"no requests":       {func(c *Config) { c.Limits.OpenRequests = 0 }, "limits.open_requests: must be at least 1"},
		"negative rate of a key": {
			func(c *Config) { c.Auth.APIKeys[0].RequestsPerMinute = Override{true, -1} }, "auth.api_keys[0].requests_per_minute: must be at least 0",
		},
		"negative runs of a key": {
			func(c *Config) { c.Auth.APIKeys[0].ConcurrentRuns = Override{true, -1} }, "auth.api_keys[0].concurrent_runs: must be at least 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			tc.change(&c)
			err := c.Validate()
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("got %v, want only %q", err, tc.want)
			}
		})
	}
}

// A limit of a key stands in the place of the one for all, also when it is 0, which is no limit.
func TestOverride(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{Environ: []string{
		"PERDURE_AUTH_API_KEYS_0_NAME=a", "PERDURE_AUTH_API_KEYS_0_KEY=key-a", "PERDURE_AUTH_API_KEYS_0_REQUESTS_PER_MINUTE=0",
		"PERDURE_AUTH_API_KEYS_1_NAME=b", "PERDURE_AUTH_API_KEYS_1_KEY=key-b", "PERDURE_AUTH_API_KEYS_1_CONCURRENT_RUNS=7",
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Auth.APIKeys[0], c.Auth.APIKeys[1]
	if got := [4]int{a.RequestsPerMinute.Or(5), a.ConcurrentRuns.Or(5), b.RequestsPerMinute.Or(5), b.ConcurrentRuns.Or(5)}; got != [4]int{0, 5, 5, 7} {
		t.Errorf("the limits are %v", got)
	}
	_, err = Load(Options{Environ: []string{
		"PERDURE_AUTH_API_KEYS_0_NAME=a", "PERDURE_AUTH_API_KEYS_0_KEY=key-a", "PERDURE_AUTH_API_KEYS_0_CONCURRENT_RUNS=many",
	}})
	if err == nil || !strings.Contains(err.Error(), "CONCURRENT_RUNS") || !strings.Contains(err.Error(), "must be a whole number") {
		t.Errorf("got %v, want an error that names the variable", err)
	}
}
