package mcpclient

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBoundsByDefault(t *testing.T) {
	t.Parallel()
	want := Options{
		ConnectTimeout: 10 * time.Second, ListTimeout: 15 * time.Second, CallTimeout: 5 * time.Minute,
		MaxListBytes: 4 << 20, MaxCallBytes: 8 << 20, MaxSchemaBytes: 64 << 10, MaxDescriptionBytes: 4 << 10, MaxPages: 20, MaxTools: 128,
		SessionIdle: 90 * time.Second, MaxSessions: 256, PerServerConcurrency: 8, Version: "dev",
	}
	if diff := cmp.Diff(want, Options{}.withDefaults(), cmpopts.IgnoreFields(Options{}, "Logger", "Network", "RootCAs")); diff != "" {
		t.Errorf("bounds (-want +got):\n%s", diff)
	}
}
