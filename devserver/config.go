package main

import (
	"net"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
)

// clusterName is recorded in every store; Temporal's own development server uses the same.
const clusterName = "active"

// addresses says where each service listens. Only the frontend may leave loopback.
type addresses map[primitives.ServiceName]*net.TCPAddr

// claimAddresses claims the frontend's address and a free loopback port for every other service.
func claimAddresses(c *claims, frontend string) (addresses, error) {
	addr, err := c.address("listen", frontend)
	if err != nil {
		return nil, err
	}
	a := addresses{primitives.FrontendService: addr}
	for _, name := range []primitives.ServiceName{
		primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	} {
		if a[name], err = c.internal(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// frontend is where clients on this machine reach the server.
func (a addresses) frontend() string { return reachable(a[primitives.FrontendService]) }

// hosts lets the services find each other without a membership protocol.
func (a addresses) hosts() map[primitives.ServiceName]static.Hosts {
	hosts := make(map[primitives.ServiceName]static.Hosts, len(a))
	for name, addr := range a {
		hosts[name] = static.SingleLocalHost(reachable(addr))
	}
	return hosts
}

// serverConfig is the static configuration: one cluster of one process on one SQLite store.
func serverConfig(s *store, a addresses) *config.Config {
	const storeName = "sqlite"
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     storeName,
			VisibilityStore:  storeName,
			NumHistoryShards: s.shards,
			DataStores:       map[string]config.DataStore{storeName: {SQL: s.sql}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: a.frontend()},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: a.frontend()},
		Services:            make(map[string]config.Service, len(a)),
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
	}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}
	for name, addr := range a {
		cfg.Services[string(name)] = config.Service{RPC: config.RPC{BindOnIP: addr.IP.String(), GRPCPort: addr.Port}}
	}
	return cfg
}

// unlimited stands for "no limit": the defaults share a cluster fairly among tenants, and this one has a
// single user.
const unlimited = 100_000

// tuning is the dynamic configuration. Limits that protect a run's own health (payload and history sizes,
// pending activities) stay at Temporal's defaults, so that what passes here passes in production.
func tuning() dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// By default each shard loads at most 20 batches of tasks a second: 50 ms for every step of a run.
		dynamicconfig.TransferProcessorMaxPollRPS.Key():   unlimited,
		dynamicconfig.TimerProcessorMaxPollRPS.Key():      unlimited,
		dynamicconfig.VisibilityProcessorMaxPollRPS.Key(): unlimited,
		dynamicconfig.OutboundProcessorMaxPollRPS.Key():   unlimited,

		// Timers fire up to this much late; the default of 1 s shows in every back-off and heartbeat timeout.
		dynamicconfig.TimerProcessorMaxTimeShift.Key(): 50 * time.Millisecond,

		// A worker that completes a workflow task starts the activities that it scheduled at once.
		dynamicconfig.EnableActivityEagerExecution.Key(): true,

		// A poller waits at one partition of a task queue, tasks arrive at any; with the default of four and an SDK's two
		// pollers, ten parallel activities took 84 to 102 ms, with one partition 45 to 52 ms.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,

		// Tasks that wait for a worker are handed out in turn to the fairness keys, which are organizations. Without it the order
		// within a priority is that of arrival.
		dynamicconfig.MatchingEnableFairness.Key(): true,

		dynamicconfig.FrontendPersistenceMaxQPS.Key(): unlimited,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():  unlimited,
		dynamicconfig.MatchingPersistenceMaxQPS.Key(): unlimited,

		dynamicconfig.FrontendRPS.Key():                                  unlimited,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():           unlimited,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): unlimited,
		dynamicconfig.HistoryRPS.Key():                                   unlimited,
		dynamicconfig.MatchingRPS.Key():                                  unlimited,
		// Everyone who waits for a run's result holds one long poll; the default allows 1200.
		dynamicconfig.FrontendMaxConcurrentLongRunningRequestsPerInstance.Key(): unlimited,

		// A worker that stops gives its polls back. Otherwise a task that is handed to it in that moment is lost until it times
		// out.
		dynamicconfig.EnableCancelWorkerPollsOnShutdown.Key(): true,

		// How long a version of workers counts as needed after it was replaced, and how often its runs are counted then: for
		// visibility that lags behind. Here it is written within a second, and a deploy should not take six minutes to watch.
		dynamicconfig.VersionDrainageStatusVisibilityGracePeriod.Key(): 5 * time.Second,
		dynamicconfig.VersionDrainageStatusRefreshInterval.Key():       5 * time.Second,

		// Idle workflows kept in memory; the default suits a machine of its own.
		dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): 8192,

		// The server would report its version to its makers once a day.
		dynamicconfig.EnableServerVersionCheck.Key(): false,
	}
}
