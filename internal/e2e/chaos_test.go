package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"perdure/internal/modeltest"
)

var (
	chaosRuns  = flag.Int("chaos.runs", 12, "runs that TestChaos makes")
	chaosKills = flag.Int("chaos.kills", 6, "processes that TestChaos kills meanwhile")
	chaosSeed  = flag.Uint64("chaos.seed", 0, "what TestChaos plans and kills by; 0 takes one at random")
)

const (
	// chaosAtOnce is how many clients there are at the same time.
	chaosAtOnce = 10
	// chaosPause is the longest pause before a kill, and the longest time for which a process is away.
	chaosPause = 4 * time.Second
	// chaosTimeout bounds the test, for each kill and as a whole.
	chaosTimeout, chaosTimeoutOfKill = 5 * time.Minute, 15 * time.Second
)

// TestChaos: while processes are killed at random moments, every run that was accepted ends, every client gets its answer, no write is
// made twice, and no event of a stream is lost or comes twice. The plan and the order of kills are those of a seed; the moments are not.
func TestChaos(t *testing.T) { //nolint:tparallel // its subtests look at what is over, one after another
	t.Parallel()
	if *chaosRuns < 1 || *chaosRuns > 10_000 || *chaosKills < 0 || *chaosKills > 10_000 {
		t.Fatal("-chaos.runs must be 1 to 10000, -chaos.kills 0 to 10000")
	}
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	tasks := planTasks(random, *chaosRuns)
	all := newLedger(tasks)
	servers := map[string]string{}
	for _, label := range []string{"a", "b"} {
		server := all.serve(label)
		servers[label] = server.URL()
		closeAtEnd(t, server.Close)
	}
	model := modeltest.NewFunc(all.reply)
	closeAtEnd(t, model.Close)
	m := newMachine(t, model.URL(), "")
	for _, url := range m.urls() {
		if err := awaitReady(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), chaosTimeout+time.Duration(*chaosKills)*chaosTimeoutOfKill)
	defer cancel()
	result := tally{seed: seed, ledger: all, unknown: map[string]bool{}}
	begin := time.Now()
	clients := chaosClients(m, servers, tasks)
	k := &killer{
		machine: m, random: random, kills: *chaosKills, pause: chaosPause, pace: newPace(len(clients), *chaosKills, chaosAtOnce),
	}
	var killing sync.WaitGroup
	killing.Go(func() { k.run(ctx) })
	work(ctx, t, k, clients)
	killing.Wait()
	result.took, result.kills = time.Since(begin), k.all()

	for _, url := range m.urls() {
		if err := awaitReady(t.Context(), url); err != nil {
			t.Error(err)
		}
	}
	result.check(t, m, clients)
	t.Logf("%s", result.report())
}

func closeAtEnd(t *testing.T, closeIt func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := closeIt(); err != nil {
			t.Error(err)
		}
	})
}

func chaosClients(m *machine, servers map[string]string, tasks [][]*plannedRun) []*chaosClient {
	var clients []*chaosClient
	for _, task := range tasks {
		c := &chaosClient{machine: m, servers: servers}
		for _, run := range task {
			c.runs = append(c.runs, newChaosRun(run))
		}
		clients = append(clients, c)
	}
	return clients
}

// work has all clients do their work, a number of them at the same time, and spread over all kills.
func work(ctx context.Context, t *testing.T, k *killer, clients []*chaosClient) {
	t.Helper()
	places := make(chan struct{}, chaosAtOnce)
	var working sync.WaitGroup
	for i, c := range clients {
		k.pace.begin(ctx)
		places <- struct{}{}
		if i%20 == 0 {
			t.Logf("client %d of %d begins; %d kills so far", i+1, len(clients), len(k.all()))
		}
		working.Go(func() {
			c.work(ctx)
			<-places
		})
	}
	working.Wait()
}

// check checks everything after the fact.
func (result *tally) check(t *testing.T, m *machine, clients []*chaosClient) {
	t.Helper()
	for _, c := range clients {
		for _, run := range c.runs {
			result.runs = append(result.runs, run)
			t.Run(fmt.Sprintf("%d %s", run.number, run.shape), func(t *testing.T) {
				for _, id := range run.check(t, m) {
					result.unknown[id] = true
				}
				if run.diverged {
					result.diverged++
				}
				if !t.Failed() {
					result.answered++
				}
			})
		}
		if last := c.runs[len(c.runs)-1]; last.shape == shapeConversation && last.err == nil {
			c.checkConversation(t)
		}
	}
	result.ended = m.checkRecorded(t.Context(), t, result.runs)
	problems, twice := result.ledger.problems(result.unknown)
	for _, problem := range problems {
		t.Error(problem)
	}
	result.twice = twice
	m.checkLogs(t)
	if n := len(result.kills); n != *chaosKills {
		t.Errorf("%d processes were killed, want %d", n, *chaosKills)
	}
}
