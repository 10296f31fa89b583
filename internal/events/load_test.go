package events_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"perdure/internal/events"
	"perdure/internal/events/eventstest"
)

// BenchmarkStreams is 500 responses at the same time, each with one reader and 20 events a second, which is what one machine with two
// cores must bear. It tells the time from Publish to Next.
func BenchmarkStreams(b *testing.B) {
	for name, connect := range map[string]func(testing.TB) (writer, reader *events.Log){
		"in-process": func(tb testing.TB) (*events.Log, *events.Log) {
			l := eventstest.New(tb)
			return l, l
		},
		"by-URL": func(tb testing.TB) (*events.Log, *events.Log) {
			s := eventstest.StartServer(tb)
			return eventstest.Connect(tb, s.URL()), eventstest.Connect(tb, s.URL())
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				took := streams(b, connect)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			}
		})
	}
}

// streams returns how long the events took that arrived, in order.
func streams(b *testing.B, connect func(testing.TB) (writer, reader *events.Log)) []time.Duration {
	b.Helper()
	const responses, n, every = 500, 60, 50 * time.Millisecond
	writer, reader := connect(b)
	began := time.Now()
	took := make([][]time.Duration, responses)
	var group errgroup.Group
	for i := range responses {
		id := fmt.Sprintf("resp_%d", i)
		r, err := reader.Read(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		group.Go(func() error {
			defer r.Close()
			for {
				e, err := again(b.Context(), r)
				if err != nil {
					return err
				}
				if e.Kind == events.Ended {
					return nil
				}
				took[i] = append(took[i], time.Since(began)-time.Duration(e.Delta.At))
			}
		})
		group.Go(func() error {
			s := writer.Step(id, "turn-1-1")
			<-time.After(time.Second + every*time.Duration(i)/responses)
			tick := time.NewTicker(every)
			defer tick.Stop()
			for range n {
				s.Publish(delta(int(time.Since(began)), "some twenty bytes ..."))
				<-tick.C
			}
			s.Flush(b.Context())
			return writer.End(b.Context(), id)
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(responses*n-len(all)), "lost")
	return all
}

// An idle reader must be cheap: that is what most streams do most of the time.
func TestIdleReaderIsSmall(t *testing.T) { //nolint:paralleltest // it measures memory
	const readers, most = 1000, 8 << 10
	l := eventstest.New(t)
	publish(l.Step("resp_0", "turn-1-1"), 0, 1)
	expect(t, read(t, l, "resp_0"), 0, 1)
	before, goroutines := inUse(), runtime.NumGoroutine()
	for i := range readers {
		id := fmt.Sprintf("resp_%d", i)
		s := l.Step(id, "turn-2-1")
		publish(s, 1, 2)
		s.Flush(t.Context())
		r := read(t, l, id)
		if _, err := r.Next(bounded(t)); err != nil {
			t.Fatal(err)
		}
	}
	each := (inUse() - before) / readers
	t.Logf("%d bytes for each idle reader, the server's side and its response's log included", each)
	if each > most {
		t.Errorf("an idle reader takes %d bytes, at most %d are wanted", each, most)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 10 {
		t.Errorf("%d more goroutines for %d idle readers", n, readers)
	}
}

// inUse returns the bytes of heap and stacks that are in use.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
