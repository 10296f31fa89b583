package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/spf13/cobra"

	"perdure/starter"
)

func newStarter() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "starter",
		Short: "Serve the HTTP API against a Temporal server",
		Long: `Serve the HTTP API. Runs are started on the Temporal server that TEMPORAL_ADDRESS names (with TEMPORAL_NAMESPACE,
TEMPORAL_API_KEY, TEMPORAL_TLS_… and profiles, as for every Temporal client) and carried out by "perdure worker".
Starter and worker share a data directory.`,
		Example: "  TEMPORAL_ADDRESS=temporal:7233 perdure starter --config perdure.yaml",
		Args:    cobra.NoArgs,
		RunE:    runStarter,
	}
	bind(cmd.Flags(), "http", "http.address", "`ADDR` to serve the API on (default 127.0.0.1:8080)")
	bind(cmd.Flags(), "data", "data.dir", "`DIR` that holds blobs and the keyset, shared with the workers")
	return cmd
}

func runStarter(cmd *cobra.Command, _ []string) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if len(c.Auth.APIKeys) == 0 && !c.HasDatabase() {
		return errors.New("auth.api_keys: is empty, and there is no database of keys, so nobody could use the API: name at least one key")
	}
	boundMemory(c)
	logger := newLogger(c.Log, cmd.ErrOrStderr())
	sealer, err := openSealer(c, logger)
	if err != nil {
		return err
	}
	blobs, err := openBlobs(c, sealer)
	if err != nil {
		return err
	}
	temporal, err := dialTemporal(c.Temporal, newPayloads(c.Encryption, sealer, blobs), logger)
	if err != nil {
		return err
	}
	defer temporal.Close()
	log, err := sharedEvents(cmd.Context(), c, blobs, sealer, logger)
	if err != nil {
		return err
	}
	defer log.Close()
	catalog, err := newCatalog(c.Models)
	if err != nil {
		return err
	}
	connections, closeConnections, err := openConnections(cmd.Context(), c, sealer, logger)
	if err != nil {
		return err
	}
	defer closeConnections()
	options, err := starterOptions(c, temporal, log, blobs, sealer, catalog, connections, logger)
	if err != nil {
		return err
	}
	listener, err := listen(c.HTTP.Address)
	if err != nil {
		return err
	}
	logger.Info("starter listening", "address", listener.Addr().String())
	return starter.Run(cmd.Context(), listener, options)
}

// listen says what to change when an address is taken.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is already in use; choose another address with --http", address)
	}
	return l, err
}
