package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"go.temporal.io/sdk/client"
)

// measureRuns measures the time of a run with one MCP server and one call, whose model and tool answer at once, beside a plain Go loop
// that makes the same HTTP exchanges and beside a bare Temporal workflow with as many activities that do nothing. All of them run in
// turn against the same servers, so that a machine that gets slower gets slower for all.
func measureRuns(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	samples := flags.Int("n", 200, "samples of each contender")
	warmup := flags.Int("warmup", 30, "runs of each contender that do not count")
	binary := flags.String("perdure", "bin/perdure", "the perdure binary to measure")
	readOnly := flags.Bool("read-only", false, "the tool says that it is read-only, so no call is recorded before it is sent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return run(ctx, *binary, *samples, *warmup, *readOnly)
}

// contender makes one run and returns when its answer is there.
type contender struct {
	name string
	run  func(context.Context) error
}

func run(ctx context.Context, binary string, samples, warmup int, readOnly bool) error {
	up, err := startUpstream(readOnly)
	if err != nil {
		return err
	}
	defer up.close()
	product, err := startPerdure(ctx, binary, up.origin, os.Stderr)
	if err != nil {
		return err
	}
	defer product.close()
	bare, err := startBare(product.temporal, "bench-bare", nil)
	if err != nil {
		return err
	}
	defer bare.close()
	uncompressed, err := startBare(product.temporal, "bench-bare-uncompressed", &client.GrpcCompressionNone{})
	if err != nil {
		return err
	}
	defer uncompressed.close()

	contenders := []contender{
		{"perdure", func(ctx context.Context) error { return product.run(ctx, up) }},
		{"plain Go loop (a)", up.plainLoop},
		{fmt.Sprintf("bare workflow, %d no-op activities (b)", stepsOfARun), bare.run},
		{"the same without gRPC compression (c)", uncompressed.run},
	}
	times := make([][]time.Duration, len(contenders))
	for i := range warmup + samples {
		for j, c := range contenders {
			began := time.Now()
			if err := c.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if i >= warmup {
				times[j] = append(times[j], time.Since(began))
			}
		}
	}
	fmt.Printf("%-44s %9s %9s %9s %9s\n", fmt.Sprintf("%d samples each, in turn", samples), "p50 ms", "p90 ms", "p99 ms", "min ms")
	for j, c := range contenders {
		d := sorted(times[j])
		fmt.Printf("%-44s %9.1f %9.1f %9.1f %9.1f\n", c.name, ms(d, 0.5), ms(d, 0.9), ms(d, 0.99), ms(d, 0))
	}
	perdure := ms(sorted(times[0]), 0.5)
	fmt.Printf("\nperdure / (b) at the median: %.2f, perdure / (c): %.2f\n",
		perdure/ms(sorted(times[2]), 0.5), perdure/ms(sorted(times[3]), 0.5))
	return nil
}
