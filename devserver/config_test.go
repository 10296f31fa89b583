package main

import (
	"net"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/dynamicconfig"
	temporallog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/primitives"
)

func testAddresses() addresses {
	return addresses{
		primitives.FrontendService: {IP: net.IPv4zero, Port: 7233},
		primitives.HistoryService:  {IP: net.IPv4(127, 0, 0, 1), Port: 1001},
		primitives.MatchingService: {IP: net.IPv4(127, 0, 0, 1), Port: 1002},
		primitives.WorkerService:   {IP: net.IPv4(127, 0, 0, 1), Port: 1003},
	}
}

func TestServerConfig(t *testing.T) {
	t.Parallel()
	cfg := serverConfig(mustOpenStore(t, ""), testAddresses())
	if err := cfg.Persistence.Validate(); err != nil {
		t.Errorf("persistence: %v", err)
	}
	for name, want := range map[primitives.ServiceName]string{
		primitives.FrontendService: "0.0.0.0",
		primitives.HistoryService:  "127.0.0.1",
		primitives.MatchingService: "127.0.0.1",
		primitives.WorkerService:   "127.0.0.1",
	} {
		if got := cfg.Services[string(name)].RPC; got.BindOnIP != want || got.GRPCPort != testAddresses()[name].Port || got.HTTPPort != 0 {
			t.Errorf("%s: got %+v, want gRPC only, on %s", name, got, want)
		}
	}
	if got, want := cfg.PublicClient.HostPort, "127.0.0.1:7233"; got != want {
		t.Errorf("public client: got %s, want %s", got, want)
	}
	if got, want := len(testAddresses().hosts()), len(cfg.Services); got != want {
		t.Errorf("hosts: got %d, want %d", got, want)
	}
}

// A value of the wrong type would fall back to Temporal's default in silence.
func TestTuningIsEffective(t *testing.T) {
	t.Parallel()
	c := dynamicconfig.NewCollection(tuning(), temporallog.NewNoopLogger())
	if got := dynamicconfig.TransferProcessorMaxPollRPS.Get(c)(); got != unlimited {
		t.Errorf("transfer queue: got %d", got)
	}
	if got := dynamicconfig.TimerProcessorMaxTimeShift.Get(c)(); got.Milliseconds() != 50 {
		t.Errorf("timer shift: got %v", got)
	}
	for _, partitions := range []dynamicconfig.TaskQueueIntConstrainedDefaultSetting{
		dynamicconfig.MatchingNumTaskqueueReadPartitions, dynamicconfig.MatchingNumTaskqueueWritePartitions,
	} {
		if got := partitions.Get(c)("default", "perdure", enumspb.TASK_QUEUE_TYPE_ACTIVITY); got != 1 {
			t.Errorf("%s: got %d", partitions.Key(), got)
		}
	}
	if !dynamicconfig.EnableActivityEagerExecution.Get(c)("default") {
		t.Error("eager activities are off")
	}
	fairness := dynamicconfig.MatchingEnableFairness.Get(c)("default", "perdure", enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	if !fairness.Value(nil, time.Now()) {
		t.Error("fairness is off")
	}
	if got := dynamicconfig.FrontendMaxConcurrentLongRunningRequestsPerInstance.Get(c)("default"); got != unlimited {
		t.Errorf("long polls: got %d", got)
	}
	if got := dynamicconfig.VersionDrainageStatusVisibilityGracePeriod.Get(c)("default"); got > 10*time.Second {
		t.Errorf("a version of workers is drained after %v at the earliest", got)
	}
	if dynamicconfig.EnableServerVersionCheck.Get(c)() {
		t.Error("the server calls home")
	}
}

func TestUIConfig(t *testing.T) {
	t.Parallel()
	cfg := uiConfig(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8233}, "127.0.0.1:7233", "default")
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if cfg.DisableWriteActions || !cfg.DisableNewsFetch || cfg.Codec.Endpoint != "" || cfg.FeedbackURL != "" {
		t.Errorf("got %+v, want writing actions and no outside addresses", cfg)
	}
	if got, want := uiConfig(&net.TCPAddr{IP: net.IPv6loopback}, "", "").Host, "[::1]"; got != want {
		t.Errorf("host: got %s, want %s", got, want)
	}
}

// Not parallel: for a moment, a command that another test starts would hold our sockets open after release.
func TestClaims(t *testing.T) {
	var c claims
	defer c.release()
	first, err := c.address("listen", ":0")
	if err != nil {
		t.Fatal(err)
	}
	if !first.IP.IsLoopback() || first.Port == 0 {
		t.Errorf("got %v, want a port on loopback", first)
	}
	if _, err := c.address("ui", first.String()); err == nil || !strings.Contains(err.Error(), "--ui "+first.String()) {
		t.Errorf("taken: got %v, want an error that names the flag and the address", err)
	}
	for _, bad := range []string{"", "7233", "127.0.0.1", "127.0.0.1:70000"} {
		if _, err := c.address("listen", bad); err == nil || !strings.Contains(err.Error(), "--listen") {
			t.Errorf("%q: got %v, want an error that names the flag", bad, err)
		}
	}

	c.release()
	l, err := net.Listen("tcp", first.String())
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	_ = l.Close()
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for bound, want := range map[string]string{
		"0.0.0.0:1":     "127.0.0.1:1",
		"[::]:1":        "127.0.0.1:1",
		"[::1]:1":       "[::1]:1",
		"192.0.2.1:443": "192.0.2.1:443",
	} {
		addr, err := net.ResolveTCPAddr("tcp", bound)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(addr); got != want {
			t.Errorf("%s: got %s, want %s", bound, got, want)
		}
	}
}
