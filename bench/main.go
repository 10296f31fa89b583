// Command bench measures what durability costs. "bench run" measures the time of a run beside the same exchanges without Perdure,
// "bench stream" the way from a model's byte to a client's, and "bench batch" the lines of a batch beside bare child workflows.
//
// README.md has figures and conditions.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, args []string) error {
	switch {
	case len(args) > 0 && args[0] == "run":
		return measureRuns(ctx, args[1:])
	case len(args) > 0 && args[0] == "stream":
		return measureStreams(ctx, args[1:])
	case len(args) > 0 && args[0] == "batch":
		return measureBatch(ctx, args[1:])
	default:
		return errors.New(`say what to measure: "run", "stream" or "batch"`)
	}
}
