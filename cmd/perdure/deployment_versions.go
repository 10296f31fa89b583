package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// versionRow is a row of "perdure deployment list".
type versionRow struct {
	build string
	state string // Temporal's word for it, in lower case
	since time.Time
	runs  string // how many runs are pinned to it
	order int
}

// versions returns the versions of the deployment, those first that get new runs.
func (d deployment) versions(ctx context.Context) ([]versionRow, error) {
	info, err := d.describe(ctx)
	if err != nil {
		return nil, err
	}
	var versions []versionRow
	routing := info.GetRoutingConfig()
	if routing.GetCurrentDeploymentVersion() == nil {
		versions = append(versions, versionRow{build: unversionedWorkers, state: "current", since: asTime(routing.GetCurrentVersionChangedTime())})
	}
	percent := routing.GetRampingVersionPercentage()
	if routing.GetRampingDeploymentVersion() == nil && percent > 0 {
		versions = append(versions, versionRow{
			build: unversionedWorkers, state: ramping(percent), since: asTime(routing.GetRampingVersionChangedTime()), order: 1,
		})
	}
	for _, s := range info.GetVersionSummaries() {
		v := versionRow{build: s.GetDeploymentVersion().GetBuildId()}
		v.state, v.since, v.order = stateOf(s, percent)
		if v.runs, err = d.pinnedRuns(ctx, v.build); err != nil {
			return nil, err
		}
		versions = append(versions, v)
	}
	slices.SortStableFunc(versions, func(a, b versionRow) int {
		return cmp.Or(cmp.Compare(a.order, b.order), b.since.Compare(a.since))
	})
	return versions, nil
}

func (d deployment) describe(ctx context.Context) (*deploymentpb.WorkerDeploymentInfo, error) {
	answer, err := d.temporal.WorkflowService().DescribeWorkerDeployment(ctx, &workflowservice.DescribeWorkerDeploymentRequest{
		Namespace: d.namespace, DeploymentName: d.name,
	})
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return nil, d.unknown()
	}
	return answer.GetWorkerDeploymentInfo(), err
}

func stateOf(s *deploymentpb.WorkerDeploymentInfo_WorkerDeploymentVersionSummary, percent float32) (state string, since time.Time, order int) {
	switch s.GetStatus() {
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT:
		return "current", asTime(s.GetCurrentSinceTime()), 0
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING:
		return ramping(percent), asTime(s.GetRampingSinceTime()), 1
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING:
		return "draining", asTime(s.GetLastDeactivationTime()), 2
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED:
		return "drained", asTime(s.GetDrainageInfo().GetLastChangedTime()), 3
	default:
		return "inactive", asTime(s.GetCreateTime()), 2
	}
}

func ramping(percent float32) string {
	return "ramping " + strconv.FormatFloat(float64(percent), 'f', -1, 32) + "%"
}

func asTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// pinnedRuns is newer than the state: Temporal looks at intervals whether a version is drained.
func (d deployment) pinnedRuns(ctx context.Context, build string) (string, error) {
	counted, err := d.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: d.namespace,
		Query: fmt.Sprintf("TemporalWorkerDeploymentVersion = '%s:%s' AND TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'",
			d.name, build),
	})
	return strconv.FormatInt(counted.GetCount(), 10), err
}

func printVersions(w io.Writer, versions []versionRow) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BUILD ID\tSTATE\tRUNS\tSINCE")
	for _, v := range versions {
		since := ""
		if !v.since.IsZero() {
			since = v.since.Local().Format(time.DateTime)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", v.build, v.state, v.runs, since)
	}
	return table.Flush()
}

func buildIDs(versions []versionRow) string {
	var ids []string
	for _, v := range versions {
		if v.build != unversionedWorkers {
			ids = append(ids, v.build)
		}
	}
	return strings.Join(ids, ", ")
}
