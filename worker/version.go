package worker

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// deploymentOptions make a worker of o a version of its deployment, if it has a build ID.
func deploymentOptions(o Options) worker.DeploymentOptions {
	if o.BuildID == "" {
		return worker.DeploymentOptions{}
	}
	return worker.DeploymentOptions{
		UseVersioning: true,
		Version:       worker.WorkerDeploymentVersion{DeploymentName: o.Deployment, BuildID: o.BuildID},
	}
}

// becomeFirst makes this worker's version current in a deployment in which none has ever been: without it the runs of a new
// installation would wait for an operator. Which version comes next is an operator's decision. It tries until it is settled.
func becomeFirst(ctx context.Context, c client.Client, o Options) {
	deployment := c.WorkerDeploymentClient().GetHandle(o.Deployment)
	for wait := firstReconnect; ; wait = min(2*wait, lastReconnect) {
		settled, err := tryBecomeFirst(ctx, deployment, o)
		var denied *serviceerror.PermissionDenied
		switch {
		case ctx.Err() != nil || settled:
			return
		case errors.As(err, &denied):
			o.Logger.WarnContext(ctx, "this worker may not see to the versions of its deployment: see that \"perdure deployment\" has made one current",
				"deployment", o.Deployment, "build_id", o.BuildID, "error", err)
			return
		}
		o.Logger.DebugContext(ctx, "the worker's version is not registered yet, waiting", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// tryBecomeFirst reports whether the deployment has a current version, or did have one. Until the first poll of this worker has
// arrived, the server knows neither the deployment nor the version.
func tryBecomeFirst(ctx context.Context, deployment client.WorkerDeploymentHandle, o Options) (settled bool, err error) {
	d, err := deployment.Describe(ctx, client.WorkerDeploymentDescribeOptions{})
	if err != nil {
		return false, err
	}
	routing := d.Info.RoutingConfig
	if current := routing.CurrentVersion; current != nil && current.BuildID == o.BuildID {
		return true, nil
	} else if current != nil || routing.RampingVersion != nil || !routing.CurrentVersionChangedTime.IsZero() {
		o.Logger.InfoContext(ctx, "another version is current: new runs begin here when \"perdure deployment\" says so",
			"deployment", o.Deployment, "build_id", o.BuildID)
		return true, nil
	}
	// The token: of several workers that start together one succeeds, and the others look again.
	_, err = deployment.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{
		BuildID: o.BuildID, ConflictToken: d.ConflictToken,
	})
	if err != nil {
		return false, err
	}
	o.Logger.InfoContext(ctx, "this version is the first of its deployment, and current now", "deployment", o.Deployment, "build_id", o.BuildID)
	return true, nil
}
