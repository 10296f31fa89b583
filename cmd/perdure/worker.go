package main

import (
	"github.com/spf13/cobra"

	"perdure/starter"
	"perdure/worker"
)

func newWorker() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Carry out runs from a Temporal server",
		Long: `Carry out runs: discovery of MCP servers, model turns and tool calls. The Temporal server is the one that
TEMPORAL_ADDRESS names (with TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_… and profiles, as for every Temporal
client). Start as many workers as the load needs; a worker that is told to stop hands back what it cannot finish.`,
		Example: "  TEMPORAL_ADDRESS=temporal:7233 perdure worker --config perdure.yaml",
		Args:    cobra.NoArgs,
		RunE:    runWorker,
	}
	bind(cmd.Flags(), "data", "data.dir", "`DIR` that holds blobs and the keyset, shared with the starters")
	return cmd
}

func runWorker(cmd *cobra.Command, _ []string) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
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
	if connections == nil {
		logger.Warn("this worker has no database: it fails every batch and every saved connector that comes its way, to be tried by another; " +
			"set database.url or data.dir as for the starters")
	}
	steps, closeSteps, err := newActivities(c, log, blobs, sealer, catalog, connections, logger)
	if err != nil {
		return err
	}
	defer closeSteps()
	options, err := workerOptions(c, logger)
	if err != nil {
		return err
	}
	intake, err := intakeOptions(c, temporal, blobs, sealer, catalog, connections, logger)
	if err != nil {
		return err
	}
	options.Register = starter.NewIntake(cmd.Context(), intake).Register
	return worker.Run(cmd.Context(), temporal, steps, options)
}
