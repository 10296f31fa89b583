package config

import (
	"strings"
	"testing"
	"time"
)

func TestEventsAndAPI(t *testing.T) {
	t.Parallel()
	events := func(change func(*Events)) func(*Config) { return func(c *Config) { change(&c.Events) } }
	url := func(text string) func(*Config) { return events(func(e *Events) { e.URL = text }) }
	listen := func(text string) func(*Config) { return events(func(e *Events) { e.Listen = text }) }
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string // empty: it is valid
	}{
		"cluster":               {url("nats://a:4222, tls://b.example:4222,nats://[::1]"), ""},
		"cluster, all settings": {events(func(e *Events) { *e = Events{URL: "tls://a", CredentialsFile: "/c", MaxAge: time.Minute, Replicas: 3} }), ""},
		"own, local":            {listen("127.0.0.1:0"), ""},
		"own, localhost":        {listen("localhost:4222"), ""},
		"own, IPv6":             {listen("[::1]:4222"), ""},
		"openai":                {func(c *Config) { c.API.Dialect = "openai" }, ""},

		"another dialect":       {func(c *Config) { c.API.Dialect = "OpenAI" }, "api.dialect: must be agent or openai"},
		"no dialect":            {func(c *Config) { c.API.Dialect = "" }, "api.dialect: must be"},
		"URL without scheme":    {url("nats:4222"), "events.url: must be URLs with nats or tls"},
		"another scheme":        {url("http://a:4222"), "events.url: must be URLs"},
		"second URL":            {url("nats://a,b"), "events.url: must be URLs"},
		"empty URL in a list":   {url("nats://a,"), "events.url: must be URLs"},
		"password":              {url("nats://u:hunter2@a"), "events.url: must not contain a user name"},
		"path":                  {url("nats://a/b"), "events.url: must end after the port"},
		"query":                 {url("nats://a?b"), "events.url: must end after the port"},
		"listen beside URL":     {events(func(e *Events) { e.URL, e.Listen = "nats://a", "127.0.0.1:1" }), "events.listen: is for the server in this process"},
		"listen for everybody":  {listen(":4222"), "events.listen: must be host:port with an address that only"},
		"listen for the net":    {listen("10.0.0.1:4222"), "events.listen: must be host:port"},
		"listen by name":        {listen("host.example:4222"), "events.listen: must be host:port"},
		"listen without port":   {listen("127.0.0.1"), "events.listen: must be host:port"},
		"credentials, no URL":   {events(func(e *Events) { e.CredentialsFile = "/c" }), "events.credentials_file: is for the servers of events.url"},
		"short age":             {events(func(e *Events) { e.MaxAge = time.Second }), "events.max_age: must be at least 1m0s"},
		"no replicas":           {events(func(e *Events) { e.Replicas = 0 }), "events.replicas: must be 1, 3 or 5"},
		"two replicas":          {events(func(e *Events) { e.URL, e.Replicas = "nats://a", 2 }), "events.replicas: must be 1, 3 or 5"},
		"replicas of one alone": {events(func(e *Events) { e.Replicas = 3 }), "events.replicas: must be 1 without events.url"},
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
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestRequireEventsURL(t *testing.T) {
	t.Parallel()
	c := Default()
	if err := c.RequireEventsURL(); err == nil || !strings.Contains(err.Error(), "PERDURE_EVENTS_URL") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
	c.Events.URL = "nats://a"
	if err := c.RequireEventsURL(); err != nil {
		t.Error(err)
	}
}
