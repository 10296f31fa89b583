package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"perdure/config"
	"perdure/internal/secret"
)

// TestKeysStayHere: a directory that came with somebody's repository cannot name a server elsewhere, neither for one's own key nor for what
// one asks.
func TestKeysStayHere(t *testing.T) {
	t.Parallel()
	const (
		own    = "pd_own_key"
		theirs = "pd_key_of_the_directory"
		evil   = "https://evil.example"
		here   = "http://127.0.0.1:4711"
	)
	type want struct{ url, key string }
	tests := []struct {
		name          string
		url, key      string // of the configuration
		inDir, dirKey string
		want          want
	}{
		{"nothing", "", "", "", "", want{defaultServer, ""}},
		{"a server here", "", "", here, theirs, want{here, theirs}},
		{"a server here with one's own key", "", own, here, theirs, want{here, own}},
		{"all addresses of this machine", "", "", "http://[::]:4711", theirs, want{"http://[::]:4711", theirs}},
		{"elsewhere with one's own key", "", own, evil, theirs, want{defaultServer, own}},
		{"elsewhere", "", "", evil, theirs, want{defaultServer, ""}},
		{"elsewhere by number", "", own, "http://203.0.113.7:8080", theirs, want{defaultServer, own}},
		{"elsewhere that looks like here", "", own, "http://127.0.0.1@evil.example", theirs, want{defaultServer, own}},
		{"their key at one's own server", evil, "", evil, theirs, want{evil, ""}},
		{"the server here, named", here + "/", "", here, theirs, want{here + "/", theirs}},
		{"another server than the one here", evil, "", here, theirs, want{evil, ""}},
		{"a key without a server", "", "", "", theirs, want{defaultServer, ""}},
	}
	if ip := ownAddress(t); ip.IsValid() {
		url := "http://" + netip.AddrPortFrom(ip, 4711).String()
		tests = append(tests, struct {
			name          string
			url, key      string
			inDir, dirKey string
			want          want
		}{"another address of this machine", "", "", url, theirs, want{url, theirs}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c config.Config
			c.Client.URL, c.Client.APIKey, c.Data.Dir = tt.url, secret.New(tt.key), t.TempDir()
			for name, text := range map[string]string{urlFile: tt.inDir, keyFile: tt.dirKey} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(c.Data.Dir, name), []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o, err := clientOptions(c)
			if err != nil {
				t.Fatal(err)
			}
			if got := (want{o.URL, o.Key.Reveal()}); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// ownAddress is one of this machine that only it has, if there is any.
func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}
