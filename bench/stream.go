package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// measureStreams measures how long a delta is on its way from a model's byte to a client's, beside the same model that is read
// directly and beside the event log alone: with few streams and with many. Then it measures the memory of streams in which nothing
// happens. What is lost, or comes twice or in another order, is an error.
func measureStreams(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stream", flag.ExitOnError)
	binary := flags.String("perdure", "bin/perdure", "the perdure binary to measure")
	few := flags.Int("few", 4, "streams of the quiet round; 0 leaves it out")
	many := flags.Int("many", 500, "streams of the busy round; 0 leaves it out")
	idle := flags.Int("idle", 500, "streams in which nothing happens; 0 leaves them out")
	log := flags.String("log", "", "`file` for what perdure logs")
	length := flags.Duration("length", 30*time.Second, "how long a stream lasts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b := &streamBench{binary: *binary, log: io.Discard}
	// A model turn holds a place of the worker for as long as it lasts.
	b.room = fmt.Sprintf("PERDURE_WORKER_MAX_CONCURRENT_ACTIVITIES=%d", max(*many, *idle)+100)
	if *log != "" {
		file, err := os.Create(*log)
		if err != nil {
			return err
		}
		defer file.Close()
		b.log = file
	}
	var err error
	if b.talker, err = startTalker(); err != nil {
		return err
	}
	defer b.talker.close()
	if *few > 0 || *many > 0 {
		if err := b.measureDelays(ctx, *length, *few, *many); err != nil {
			return err
		}
	}
	if *idle > 0 {
		return b.measureIdle(ctx, *idle)
	}
	return nil
}

// streamBench is what the parts of the measurement have in common.
type streamBench struct {
	talker       *talker
	binary, room string
	log          io.Writer
}

// every is how often a stream says something.
const every = 50 * time.Millisecond

// endsApart is how far the ends of runs are apart: that hundreds end in the same moment is not what is measured here.
const endsApart = 150 * time.Millisecond

func (b *streamBench) measureDelays(ctx context.Context, length time.Duration, numbers ...int) error {
	product, err := startPerdure(ctx, b.binary, b.talker.origin, b.log, b.room)
	if err != nil {
		return err
	}
	defer product.close()
	log, err := openEventLog(ctx)
	if err != nil {
		return err
	}
	defer log.close()
	contenders := []struct {
		name   string
		listen listen
		apart  time.Duration // of the ends
	}{
		{"the model itself (a)", b.talker.listen, 0},
		{"the event log alone (b)", log.listen, 0},
		{"perdure", product.listen, endsApart},
	}
	for _, c := range contenders {
		if _, err := hold(ctx, b.talker, newRound(2, 20, c.apart), c.listen, product); err != nil {
			return fmt.Errorf("warm-up: %s: %w", c.name, err)
		}
	}
	fmt.Printf("%-32s %8s %8s %8s %8s %9s %8s   %s\n", "", "deltas", "p50 ms", "p99 ms", "max ms", "deltas/s", "joined", "cores used")
	for _, n := range numbers {
		for _, c := range contenders {
			if n == 0 {
				continue
			}
			f, err := hold(ctx, b.talker, newRound(n, int(length/every), c.apart), c.listen, product)
			if err != nil {
				return fmt.Errorf("%d streams: %s: %w", n, c.name, err)
			}
			f.print(fmt.Sprintf("%s, %d", c.name, n))
		}
	}
	return nil
}

// findings are what a round came to.
type findings struct {
	delays []time.Duration
	events int // that brought the deltas
	took   time.Duration
	starts time.Duration // until all streams were there
	used   usage
}

func (f *findings) print(name string) {
	d := sorted(f.delays)
	s := f.took.Seconds()
	fmt.Printf("%-32s %8d %8.2f %8.2f %8.1f %9.0f %8d   perdure %.2f, temporal %.2f, bench %.2f; all there after %.1f s\n",
		name, len(d), ms(d, 0.5), ms(d, 0.99), ms(d, 1), float64(len(d))/s, len(d)-f.events,
		f.used.product.Seconds()/s, f.used.temporal.Seconds()/s, f.used.bench.Seconds()/s, f.starts.Seconds())
}

// listen hears one stream of a round to its end.
type listen func(ctx context.Context, r *round, name string, h *heard) error

// startTogether is how many streams are on their way to the model at the same time: the bench is about streams, not their beginning.
const startTogether = 16

// hold lets all streams of a round come to the model, then speak, and checks that each was heard as it was said.
func hold(ctx context.Context, t *talker, r *round, listen listen, product *perdure) (*findings, error) {
	t.begin(r)
	all := make([]heard, r.streams)
	began := time.Now()
	listeners, ctx := errgroup.WithContext(ctx)
	waiting := 0
	for i := range all {
		name := fmt.Sprintf("stream %d", i)
		listeners.Go(func() error {
			if err := listen(ctx, r, name, &all[i]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return r.check(name, &all[i])
		})
		if waiting++; waiting == startTogether || i == r.streams-1 {
			if !receive(ctx, r.arrived, waiting) {
				return nil, listeners.Wait()
			}
			waiting = 0
		}
	}
	f := &findings{starts: time.Since(began)}
	before, err := product.usage()
	if err != nil {
		return nil, err
	}
	close(r.speak)
	began = time.Now()
	if !receive(ctx, r.ended, r.streams) {
		return nil, listeners.Wait()
	}
	f.took = time.Since(began)
	after, err := product.usage()
	if err != nil {
		return nil, err
	}
	f.used = after.minus(before)
	if err := listeners.Wait(); err != nil {
		return nil, err
	}
	for i := range all {
		f.delays = append(f.delays, all[i].delays...)
		f.events += all[i].events
	}
	return f, nil
}

// receive waits for n signals.
func receive(ctx context.Context, from <-chan struct{}, n int) bool {
	for range n {
		select {
		case <-from:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, "") + `"` }
