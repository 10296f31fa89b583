package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"
)

// endpoints is the ready line.
type endpoints struct {
	Address string `json:"address"`      // HOST:PORT of the gRPC frontend
	UI      string `json:"ui,omitempty"` // URL of the Web UI
}

type server struct {
	endpoints endpoints
	namespace string
	retention time.Duration
	logLevel  zap.AtomicLevel

	store    *store
	temporal temporal.Server
	ui       *uiserver.Server // nil without a UI
}

// startServer starts the server and its UI. They may not answer yet when it returns; see awaitReady.
func startServer(o options) (s *server, err error) {
	var ports claims
	defer ports.release()
	addrs, err := claimAddresses(&ports, o.listen)
	if err != nil {
		return nil, err
	}
	var uiAddr *net.TCPAddr
	if o.ui != "" {
		if uiAddr, err = ports.address("ui", o.ui); err != nil {
			return nil, err
		}
	}

	// Not the context of the signals: preparing a store takes a fraction of a second and is best completed.
	st, err := openStore(context.Background(), o.db)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.close())
		}
	}()
	if st.shards != newStoreShards {
		fmt.Fprintf(os.Stderr, "perdure-temporal: %s was made with %d history shards and keeps them; new files get %d\n",
			o.db, st.shards, newStoreShards)
	}
	if err := createNamespace(st.sql, o); err != nil {
		return nil, err
	}

	ports.release()
	t, err := startTemporal(serverConfig(st, addrs), addrs, o.logLevel)
	if err != nil {
		return nil, err
	}
	s = &server{
		endpoints: endpoints{Address: addrs.frontend()},
		namespace: o.namespace,
		retention: o.retention,
		logLevel:  o.logLevel,
		store:     st,
		temporal:  t,
	}
	if uiAddr != nil {
		s.endpoints.UI = "http://" + reachable(uiAddr)
		s.ui = newUI(uiAddr, addrs.frontend(), o.namespace)
		go func() { _ = s.ui.Start() }() // Exits the process itself when it cannot serve.
	}
	return s, nil
}

func startTemporal(cfg *config.Config, addrs addresses, logLevel zap.AtomicLevel) (temporal.Server, error) {
	t, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(addrs.hosts()),
		temporal.WithDynamicConfigClient(tuning()),
		temporal.WithLogger(newLogger(logLevel)),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
	)
	if err != nil {
		return nil, fmt.Errorf("configure the server: %w", err)
	}
	if err := t.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	return t, nil
}

// createNamespace adds the namespace, with its search attributes, unless the store has it. Doing so before the server
// starts spares clients the seconds until its caches notice.
func createNamespace(cfg *config.SQL, o options) error {
	ns, err := sqlite.NewNamespaceConfig(clusterName, o.namespace, false, o.attributes)
	if err != nil {
		return fmt.Errorf("namespace %q: %w", o.namespace, err)
	}
	ns.Detail.Config.Retention = durationpb.New(o.retention)
	return sqlite.CreateNamespaces(cfg, ns)
}

// environ is what a command needs to find the server.
func (s *server) environ() []string {
	return []string{
		"TEMPORAL_ADDRESS=" + s.endpoints.Address,
		"TEMPORAL_NAMESPACE=" + s.namespace,
		"PERDURE_TEST_TEMPORAL=" + s.endpoints.Address,
	}
}

func (s *server) stop() error {
	// Services that stop one after the other call each other in vain; those errors tell nobody anything.
	s.logLevel.SetLevel(zap.FatalLevel)
	if s.ui != nil {
		s.ui.Stop()
	}
	return errors.Join(s.temporal.Stop(), s.store.close())
}
