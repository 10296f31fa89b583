// Command perdure runs the Agent API: all of it on one machine ("perdure dev"), or its parts ("perdure starter", "perdure worker").
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal drains; a second one ends the process at once.
	context.AfterFunc(ctx, restore)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	noteStart(root, &started)
	err := root.ExecuteContext(ctx)
	return exitCode(ctx, err, started, stderr)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "perdure",
		Short: "A self-hosted Agent API whose every response is a durable workflow",
		Long: `Perdure serves POST /v1/responses, as OpenAI's and Perplexity's SDKs speak it, and runs every response as a
Temporal workflow: discovery of MCP servers, model turns and tool calls are retried steps, so that a run
survives the crash of any process.

Start with "perdure dev", which needs nothing else, and then "perdure run".`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	root.PersistentFlags().String("config", "", "configuration `FILE` (YAML; default: PERDURE_CONFIG, or none)")
	root.AddGroup(&cobra.Group{ID: useGroup, Title: "Use a server:"}, &cobra.Group{ID: operateGroup, Title: "Operate one:"})
	for _, cmd := range []*cobra.Command{newRun(), newResponses(), newBatch(), newFile(), newSchedule(), newConnector(), newModels()} {
		cmd.GroupID = useGroup
		root.AddCommand(cmd)
	}
	for _, cmd := range []*cobra.Command{
		newDev(), newStarter(), newWorker(), newMigrate(), newDeployment(), newKey(), newKeys(), newMember(), newHealthcheck(),
	} {
		cmd.GroupID = operateGroup
		root.AddCommand(cmd)
	}
	return root
}

// The commands are of two kinds: clients of the API, and what serves it or works on its database.
const (
	useGroup     = "use"
	operateGroup = "operate"
)

// group gives a command those below it. By itself it shows what there is.
func group(cmd *cobra.Command, below ...*cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(below...)
}
