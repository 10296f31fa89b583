package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"perdure/config"
	"perdure/internal/demo"
	"perdure/internal/identity"
	"perdure/internal/secret"
	"perdure/internal/temporaldev"
	"perdure/internal/ui"
	"perdure/starter"
	"perdure/worker"
)

const (
	defaultDataDir = ".perdure"
	devUser        = "dev" // the admin whose key is made at the first start
)

func newDev() *cobra.Command {
	var ports devPorts
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine, with nothing else installed",
		Long: `Run a Temporal server with its Web UI, an event log, a worker and the API on this machine. State lives below one
directory and survives a restart. Without a model of your own, a script plays the model, so that you can see a run.

To use a model, set OPENAI_API_KEY (and OPENAI_BASE_URL for another provider that speaks OpenAI's API), or name providers
in a configuration file. To use a Temporal server that runs already, set TEMPORAL_ADDRESS.`,
		Example: "  perdure dev\n  OPENAI_API_KEY=sk-… perdure dev --http 127.0.0.1:9000",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDev(cmd, ports) },
	}
	bind(cmd.Flags(), "http", "http.address", "`ADDR` to serve the API on; port 0 takes a free one (default 127.0.0.1:8080)")
	bind(cmd.Flags(), "data", "data.dir", "`DIR` below which everything lives (default "+defaultDataDir+")")
	cmd.Flags().StringVar(&ports.temporal, "temporal", "127.0.0.1:7233", "`ADDR` for the Temporal server; port 0 takes a free one")
	cmd.Flags().StringVar(&ports.ui, "temporal-ui", "127.0.0.1:8233", "`ADDR` for the Temporal Web UI; port 0 takes a free one, \"off\" is none")
	return cmd
}

type devPorts struct{ temporal, ui string }

// checkFree says which of our own flags to change when an address is taken; the Temporal server would name its own.
func checkFree(address, flag string) error {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l.Close()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is already in use; choose another address with %s", address, flag)
	}
	return nil // "off", or what the server itself explains
}

// devServer is what a running "perdure dev" consists of.
type devServer struct {
	config    config.Config
	logger    *slog.Logger
	out       io.Writer
	parts     stages
	demo      *demo.Server
	apiKey    secret.String
	signIn    secret.String // a link that signs the admin in, once
	temporal  client.Client
	embedded  bool // the Temporal server is one of the parts
	uiURL     string
	dir, http string
}

func runDev(cmd *cobra.Command, ports devPorts) (err error) {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if c.Data.Dir == "" {
		c.Data.Dir = defaultDataDir
	}
	ctx := cmd.Context()
	unlock, err := lockDir(c.Data.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	d := &devServer{config: c, dir: c.Data.Dir, logger: newLogger(c.Log, cmd.ErrOrStderr()), out: cmd.OutOrStdout()}
	if d.apiKey, err = openAPIKey(filepath.Join(d.dir, keyFile)); err != nil {
		return err
	}
	// First of all the address that is most likely to be taken: to find out after the Temporal server has started would be late.
	listener, err := listen(c.HTTP.Address)
	if err != nil {
		return err
	}
	d.http = "http://" + listener.Addr().String()
	if err := os.WriteFile(filepath.Join(d.dir, urlFile), []byte(d.http+"\n"), 0o600); err != nil {
		listener.Close()
		return err
	}
	defer func() {
		if err != nil {
			listener.Close()
		}
	}()
	if err := d.startTemporal(ctx, ports, cmd.ErrOrStderr()); err != nil {
		return err
	}
	if err := d.startRest(ctx, listener); err != nil {
		d.parts.stop() //nolint:errcheck // the first error is the one to show
		return err
	}
	defer d.temporal.Close()
	d.banner()
	err = d.parts.wait(ctx)
	fmt.Fprintln(d.out, "\nPerdure has stopped. Runs that were under way go on when it starts again.")
	return err
}

// startTemporal starts the embedded server, unless the environment or the configuration names another.
func (d *devServer) startTemporal(ctx context.Context, ports devPorts, stderr io.Writer) error {
	if os.Getenv("TEMPORAL_ADDRESS") != "" || d.config.Temporal.Address != "" {
		d.uiURL = d.config.Temporal.UIURL
		return nil
	}
	if d.config.Temporal.Namespace == "" {
		d.config.Temporal.Namespace = client.DefaultNamespace
	}
	if err := errors.Join(checkFree(ports.temporal, "--temporal"), checkFree(ports.ui, "--temporal-ui")); err != nil {
		return err
	}
	server, err := temporaldev.Supervise(ctx, temporaldev.Options{
		DB:        filepath.Join(d.dir, "temporal.db"),
		Listen:    ports.temporal,
		UI:        ports.ui,
		Namespace: d.config.Temporal.Namespace,
		Log:       stderr,
		Progress:  stderr,

		SearchAttributes: searchAttributeTypes(),
	})
	if err != nil {
		return err
	}
	d.embedded = true
	d.config.Temporal.Address = server.Address
	d.uiURL = server.UI
	d.config.Temporal.UIURL = server.UI
	d.parts.start(ctx, "Temporal server", server.Run)
	return nil
}

// dialTemporal keeps Temporal's environment and profiles away from the embedded server: somebody's credentials for another one
// are not for it, and TLS would not find it.
func (d *devServer) dialTemporal(p *payloads) (client.Client, error) {
	if d.embedded {
		// On one machine there is no bandwidth to save, and a run would spend more of its time on compression than on its own work.
		uncompressed := client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}}
		return newTemporalClient(client.Options{ConnectionOptions: uncompressed}, d.config.Temporal, p, d.logger)
	}
	return dialTemporal(d.config.Temporal, p, d.logger)
}

func (d *devServer) startRest(ctx context.Context, listener net.Listener) error {
	if err := d.startModel(ctx); err != nil {
		return err
	}
	sealer, err := openSealer(d.config, d.logger)
	if err != nil {
		return err
	}
	database, err := openDevStore(ctx, d.config, sealer, d.logger)
	if err != nil {
		return err
	}
	if d.config.HTTP.PublicURL == "" {
		d.config.HTTP.PublicURL = d.http
	}
	connections, closeConnections, err := newConnections(d.config, database, d.logger)
	if err != nil {
		database.Close()
		return err
	}
	d.parts.start(ctx, "database", func(ctx context.Context) error {
		<-ctx.Done()
		closeConnections()
		return database.Close()
	})
	blobs, err := openBlobs(d.config, sealer)
	if err != nil {
		return err
	}
	if d.temporal, err = d.dialTemporal(newPayloads(d.config.Encryption, sealer, blobs)); err != nil {
		return err
	}
	registerCtx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if _, err := registerSearchAttributes(registerCtx, d.temporal, namespaceOf(d.config.Temporal)); err != nil {
		return err
	}
	log, err := connectEvents(ctx, d.config, blobs, sealer, d.logger)
	if err != nil {
		return err
	}
	// Worker and API start after it and so are stopped before.
	d.parts.start(ctx, "event log", func(ctx context.Context) error {
		<-ctx.Done()
		return log.Close()
	})
	catalog, err := newCatalog(d.config.Models)
	if err != nil {
		return err
	}
	steps, closeSteps, err := newActivities(d.config, log, blobs, sealer, catalog, connections, d.logger)
	if err != nil {
		return err
	}
	d.config.Auth.APIKeys = append(d.config.Auth.APIKeys, config.APIKey{
		Name: "dev", Key: d.apiKey, Organization: identity.DefaultOrganization, User: devUser, Role: string(identity.Admin),
	})
	options, err := starterOptions(d.config, d.temporal, log, blobs, sealer, catalog, connections, d.logger)
	if err != nil {
		return err
	}
	options.Eager = true
	pages := pageOptions(d.config)
	pages.DemoMCP = d.demo.MCPURL()
	options.Pages = ui.Pages(pages)
	options.SignIn.Links = starter.NewSignInLinks()
	d.signIn = d.newSignInLink(options.SignIn.Links)
	workerOpts, err := workerOptions(d.config, d.logger)
	if err != nil {
		return err
	}
	workerOpts.Register = starter.NewIntake(ctx, options).Register
	d.parts.start(ctx, "worker", func(ctx context.Context) error {
		defer closeSteps()
		return worker.Run(ctx, d.temporal, steps, workerOpts)
	})
	d.parts.start(ctx, "API", func(ctx context.Context) error { return starter.Run(ctx, listener, options) })
	return nil
}

// startModel makes sure that there is a model to ask: the configured ones, the one that OPENAI_API_KEY pays for, or the script.
func (d *devServer) startModel(ctx context.Context) error {
	var err error
	if d.demo, err = openDemo(ctx, d.dir); err != nil {
		return err
	}
	d.parts.start(ctx, "demo", d.demo.Run)
	network := &d.config.Network
	network.AllowOrigins = append(network.AllowOrigins, d.demo.Origin())
	models := &d.config.Models
	if key := os.Getenv("OPENAI_API_KEY"); key != "" && len(models.Providers) == 0 {
		base := os.Getenv("OPENAI_BASE_URL")
		if base == "" {
			base = openaiURL
		}
		openai := config.Provider{BaseURL: base, APIKey: secret.New(key)}
		openai.Quirks.StrictSchemas = base == openaiURL
		models.Providers = map[string]config.Provider{"openai": openai}
		if models.Default == "" {
			models.Default = seedModel
		}
	}
	if len(models.Providers) > 0 {
		return d.config.Validate()
	}
	script := config.Provider{BaseURL: d.demo.ModelBaseURL()}
	script.Models = []string{"scripted"}
	// The script also answers to the model's name that Perplexity's and OpenAI's examples use, so that they can be pasted.
	alias := script
	alias.Models = []string{"gpt-5.5"}
	models.Providers = map[string]config.Provider{"demo": script, "openai": alias}
	models.Default = demoModel
	return nil
}

const (
	openaiURL = "https://api.openai.com/v1"
	demoModel = "demo/scripted"
	seedModel = "openai/gpt-5.5"
)

func (d *devServer) scripted() bool { return d.config.Models.Default == demoModel }
