package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"perdure/config"
)

func newDeployment() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deployment",
		Short: "See to the versions of workers: who gets new runs, and who is still needed",
		Long: `Workers with a worker.build_id are versions of the Worker Deployment worker.deployment. New runs begin on the version that
is current, a share of them on the one that is ramping, and each run ends on the version on which it began. A version that is
drained has no run left: its workers can be stopped. docs/deploying.md has the steps of a deploy.

The Temporal server is the one that TEMPORAL_ADDRESS names, as for workers.`,
		Example: `  perdure deployment list
  perdure deployment ramp 4f0c1d22ab9e 10
  perdure deployment set-current 4f0c1d22ab9e`,
		Args: cobra.NoArgs,
	}
	flags := cmd.PersistentFlags()
	bind(flags, "deployment", "worker.deployment", "`NAME` of the Worker Deployment (default perdure)")
	cmd.AddCommand(newDeploymentList(), newDeploymentSetCurrent(), newDeploymentRamp())
	return cmd
}

func newDeploymentList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the versions, whether they are drained, and how many runs they have",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDeployment(cmd, func(ctx context.Context, d deployment) error {
				versions, err := d.versions(ctx)
				if err != nil {
					return err
				}
				return printVersions(cmd.OutOrStdout(), versions)
			})
		},
	}
}

func newDeploymentSetCurrent() *cobra.Command {
	var unversioned bool
	cmd := &cobra.Command{
		Use:   "set-current BUILD_ID",
		Short: "Have new runs begin on a version, and conversations go on there",
		Args: func(_ *cobra.Command, args []string) error {
			if want := 1; len(args) != want && !unversioned || len(args) != 0 && unversioned {
				return errors.New("name one build ID (\"perdure deployment list\" shows them), or --unversioned")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			build := ""
			if len(args) > 0 {
				build = args[0]
			}
			return withDeployment(cmd, func(ctx context.Context, d deployment) error {
				_, err := d.handle.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
				if err != nil {
					return d.explain(ctx, err, build)
				}
				if err := d.awaitRouting(ctx); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is current: new runs begin there\n", cmp.Or(build, unversionedWorkers))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&unversioned, "unversioned", false, "have new runs begin on workers without a build ID")
	return cmd
}

func newDeploymentRamp() *cobra.Command {
	return &cobra.Command{
		Use:   "ramp BUILD_ID PERCENT",
		Short: "Have a share of new runs begin on a version; 0 ends that",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			build := args[0]
			percent, err := strconv.ParseFloat(args[1], 32)
			if err != nil || !(percent >= 0 && percent <= 100) {
				return fmt.Errorf("%q is no share: PERCENT is a number from 0 to 100", args[1])
			}
			return withDeployment(cmd, func(ctx context.Context, d deployment) error {
				if err := d.ramp(ctx, build, float32(percent)); err != nil {
					return d.explain(ctx, err, build)
				}
				if err := d.awaitRouting(ctx); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s gets %v%% of new runs\n", build, percent)
				return err
			})
		},
	}
}

const (
	deploymentTimeout = 30 * time.Second
	routingInterval   = 100 * time.Millisecond
	// unversionedWorkers stands where a build ID would.
	unversionedWorkers = "(unversioned)"
)

// deployment is a Worker Deployment on a Temporal server.
type deployment struct {
	name, namespace string
	temporal        client.Client
	handle          client.WorkerDeploymentHandle
}

// withDeployment calls do with the deployment of the configuration.
func withDeployment(cmd *cobra.Command, do func(context.Context, deployment) error) error {
	c, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	// What the SDK logs by itself is about connections, and the error that follows says the same.
	temporal, err := dialTemporal(c.Temporal, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer temporal.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), deploymentTimeout)
	defer cancel()
	return do(ctx, newDeploymentClient(c, temporal))
}

func newDeploymentClient(c config.Config, temporal client.Client) deployment {
	return deployment{
		name: c.Worker.Deployment, namespace: namespaceOf(c.Temporal), temporal: temporal,
		handle: temporal.WorkerDeploymentClient().GetHandle(c.Worker.Deployment),
	}
}

// ramp ends the ramp when the share is 0: a version that ramps with nothing would still not count as drained.
func (d deployment) ramp(ctx context.Context, build string, percent float32) error {
	if percent > 0 {
		_, err := d.handle.SetRampingVersion(ctx, client.WorkerDeploymentSetRampingVersionOptions{BuildID: build, Percentage: percent})
		return err
	}
	now, err := d.handle.Describe(ctx, client.WorkerDeploymentDescribeOptions{})
	if err != nil {
		return err
	}
	if ramping := now.Info.RoutingConfig.RampingVersion; ramping == nil || ramping.BuildID != build {
		return fmt.Errorf("%s is not ramping: there is nothing to end", build)
	}
	_, err = d.handle.SetRampingVersion(ctx, client.WorkerDeploymentSetRampingVersionOptions{ConflictToken: now.ConflictToken})
	return err
}

// awaitRouting returns when all task queues know where new runs begin.
func (d deployment) awaitRouting(ctx context.Context) error {
	for {
		info, err := d.describe(ctx)
		if err != nil {
			return err
		}
		if info.GetRoutingConfigUpdateState() != enumspb.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the change is made, and some task queues do not know it yet: %w", ctx.Err())
		case <-time.After(routingInterval):
		}
	}
}

// explain says what to do about an error of a change to a version.
func (d deployment) explain(ctx context.Context, err error, build string) error {
	var (
		missing *serviceerror.NotFound
		unfit   *serviceerror.FailedPrecondition
		denied  *serviceerror.PermissionDenied
	)
	switch {
	case errors.As(err, &missing):
		if versions, listErr := d.versions(ctx); listErr != nil {
			return listErr
		} else if len(versions) > 0 {
			return fmt.Errorf("deployment %q has no version %s, but %s: start workers with this worker.build_id first",
				d.name, build, buildIDs(versions))
		}
		return d.unknown()
	case errors.As(err, &unfit):
		return fmt.Errorf("%s cannot take over: %w; start its workers on the task queue of the version that is current", build, err)
	case errors.As(err, &denied):
		return fmt.Errorf("the Temporal server does not let you change deployment %q: %w", d.name, err)
	default:
		return err
	}
}

func (d deployment) unknown() error {
	return fmt.Errorf("namespace %q has no deployment %q: start workers with a worker.build_id, and with this worker.deployment", d.namespace, d.name)
}
