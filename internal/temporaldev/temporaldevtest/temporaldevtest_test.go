package temporaldevtest_test

import (
	"testing"

	"go.temporal.io/sdk/client"

	"perdure/internal/temporaldev/temporaldevtest"
)

func health(t *testing.T, address string) {
	t.Helper()
	c, err := client.DialContext(t.Context(), client.Options{HostPort: address})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.CheckHealth(t.Context(), nil); err != nil {
		t.Errorf("%s: %v", address, err)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	address := temporaldevtest.Address(t)
	health(t, address)
	if again := temporaldevtest.Address(t); again != address {
		t.Errorf("got %s, then %s", address, again)
	}
}

func TestAddressFromEnvironment(t *testing.T) {
	t.Setenv("PERDURE_TEST_TEMPORAL", "127.0.0.1:1")
	if got, want := temporaldevtest.Address(t), "127.0.0.1:1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	s := temporaldevtest.Start(t)
	s.Kill()
	again := temporaldevtest.Restart(t, s)
	if again.Address != s.Address {
		t.Errorf("got %s, want %s again", again.Address, s.Address)
	}
	health(t, again.Address)
}
