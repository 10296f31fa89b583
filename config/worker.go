package config

import (
	"regexp"
	"time"
)

// Worker is how much one worker process does at the same time, and as which version of the code it does it.
type Worker struct {
	MaxConcurrentActivities    int           `mapstructure:"max_concurrent_activities"`
	MaxConcurrentWorkflowTasks int           `mapstructure:"max_concurrent_workflow_tasks"`
	StopGrace                  time.Duration `mapstructure:"stop_grace"` // time for running activities to end

	Deployment string `mapstructure:"deployment"` // the Worker Deployment that this worker is a version of
	BuildID    string `mapstructure:"build_id"`   // the version; empty for none, AutoBuildID for the program's own
}

// AutoBuildID stands for the build ID of the program that runs.
const AutoBuildID = "auto"

var (
	// deploymentName and buildID are stricter than Temporal: they go into queries, command lines and tables.
	deploymentName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	buildID        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
)

func (w Worker) validate(v *validation) {
	v.atLeast("worker.max_concurrent_activities", int64(w.MaxConcurrentActivities), 1)
	// Temporal's SDK needs a second slot for the sticky queue and panics without it.
	v.atLeast("worker.max_concurrent_workflow_tasks", int64(w.MaxConcurrentWorkflowTasks), 2)
	v.positive("worker.stop_grace", w.StopGrace)
	if !deploymentName.MatchString(w.Deployment) {
		v.report("worker.deployment", "must be letters, digits, - and _, at most 64")
	}
	if w.BuildID != "" && !buildID.MatchString(w.BuildID) {
		v.report("worker.build_id", "must be letters, digits, ., _, + and -, at most 64, for example a commit; or auto")
	}
}
