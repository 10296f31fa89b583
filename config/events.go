package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

func (a API) validate(v *validation) {
	if a.Dialect != "agent" && a.Dialect != "openai" {
		v.report("api.dialect", "must be agent or openai")
	}
}

// shortestMaxAge is a little more than what a client needs to connect again.
const shortestMaxAge = time.Minute

func (e Events) validate(v *validation) {
	if e.URL == "" && e.CredentialsFile != "" {
		v.report("events.credentials_file", "is for the servers of events.url, which is not set: set it, or remove this key")
	}
	if e.URL != "" {
		e.validateURL(v)
	}
	if e.Listen != "" {
		e.validateListen(v)
	}
	if e.MaxAge < shortestMaxAge {
		v.report("events.max_age", "must be at least %v", shortestMaxAge)
	}
	if e.Replicas != 1 && e.Replicas != 3 && e.Replicas != 5 {
		v.report("events.replicas", "must be 1, 3 or 5")
	} else if e.Replicas > 1 && e.URL == "" {
		v.report("events.replicas", "must be 1 without events.url: there is only one server")
	}
}

// validateURL does not repeat the URL: it may contain a password.
func (e Events) validateURL(v *validation) {
	for text := range strings.SplitSeq(e.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		switch {
		case err != nil || u.Scheme != "nats" && u.Scheme != "tls" || !isHost(u):
			v.report("events.url", "must be URLs with nats or tls and a host, separated by commas, for example nats://nats:4222")
		case u.User != nil:
			v.report("events.url", "must not contain a user name or password: use events.credentials_file")
		case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") || strings.Trim(u.Path, "/") != "":
			v.report("events.url", "must end after the port")
		default:
			continue
		}
		return
	}
}

func (e Events) validateListen(v *validation) {
	if e.URL != "" {
		v.report("events.listen", "is for the server in this process, and events.url names another: remove one of them")
		return
	}
	host, port, err := net.SplitHostPort(e.Listen)
	address, ipErr := netip.ParseAddr(host)
	if err != nil || !isPort(port) || host != "localhost" && (ipErr != nil || !address.IsLoopback()) {
		v.report("events.listen", "must be host:port with an address that only this machine reaches, for example 127.0.0.1:4222: "+
			"the server has no sign-in")
	}
}
