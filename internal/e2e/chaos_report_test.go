package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// tally is what chaos came to.
type tally struct {
	seed     uint64
	took     time.Duration
	runs     []*chaosRun
	kills    []*killing
	ledger   *ledger
	ended    int             // runs that Temporal has as completed
	unknown  map[string]bool // the IDs of the writes whose outcome the model was told to be unknown
	twice    int             // writes that arrived twice
	answered int             // runs whose clients got all that they were to get
	diverged int             // streams that were others when they were read again
}

// report is what a reader wants to know, as a table of Markdown.
func (t *tally) report() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%d runs, %d kills, seed %d, in %v\n\n| | |\n|---|---|\n", len(t.runs), len(t.kills), t.seed, t.took.Round(time.Second))
	line("runs that ended, of those accepted", "%d of %d", t.ended, len(t.runs))
	line("clients that got their answer", "%d of %d", t.answered, len(t.runs))
	line("runs by client", "%s", count(t.runs, func(r *chaosRun) string { return string(r.shape) }))
	line("kills", "%s", count(t.kills, func(k *killing) string { return k.kind }))
	line("time until a killed process was started again", "%s", spread(t.away()))
	calls, reads, turns, repeated := t.ledger.repeats()
	line("tool calls, model turns", "%d, %d", calls, turns)
	line("writes made twice", "%d", t.twice)
	line("writes whose outcome is unknown, in-band", "%d", len(t.unknown))
	line("reads and idempotent writes made again", "%d", reads)
	line("model turns asked for again", "%d", repeated)
	events, tries, refused, broken := 0, 0, 0, 0
	var gaps []time.Duration
	var longest gap
	var where *chaosRun
	for _, r := range t.runs {
		events += len(r.seen)
		tries += r.tries
		for _, g := range r.gaps {
			gaps = append(gaps, g.took)
			if g.took > longest.took {
				longest, where = g, r
			}
		}
		for status, n := range r.refused {
			if status == 0 {
				broken += n
			} else {
				refused += n
			}
		}
	}
	line("events that clients read", "%d", events)
	line("streams with lost, doubled or changed events", "%d", t.diverged)
	line("requests of clients; answered with 503 or 429; without an answer", "%d; %d; %d", tries, refused, broken)
	line("from a client's lost connection to its next byte", "%s", spread(gaps))
	line("from a worker's death to the next attempt at its step", "%s", spread(t.retaken()))
	if where != nil {
		fmt.Fprintf(&b, "\nThe client of run %d (%s, %s) was not served the longest, from %s on.\n",
			where.number, where.shape, where.id, longest.from.Format(time.TimeOnly))
	}
	return b.String()
}

func (t *tally) away() []time.Duration {
	var out []time.Duration
	for _, k := range t.kills {
		if !k.back.IsZero() {
			out = append(out, k.back.Sub(k.at))
		}
	}
	return out
}

// retaken are the times from the death of a process other than a starter to the next attempt at each step that it interrupted. A step
// was interrupted by the last kill between two attempts.
func (t *tally) retaken() []time.Duration {
	var out []time.Duration
	for _, attempts := range t.ledger.attempts() {
		for i := 1; i < len(attempts); i++ {
			for _, k := range slices.Backward(t.kills) {
				if (k.kind == "worker" || k.kind == "temporal") && k.at.After(attempts[i-1]) && k.at.Before(attempts[i]) {
					out = append(out, attempts[i].Sub(k.at))
					break
				}
			}
		}
	}
	return out
}

// attempts are the times at which each step arrived at its server.
func (l *ledger) attempts() [][]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Collect(maps.Values(l.turns))
	for _, call := range l.calls {
		all = append(all, call.arrived)
	}
	return all
}

// repeats counts steps, and those that were made again.
func (l *ledger) repeats() (calls, reads, turns, repeated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, call := range l.calls {
		calls++
		if call.tool != bookTool {
			reads += max(0, len(call.arrived)-1)
		}
	}
	for _, attempts := range l.turns {
		turns++
		repeated += len(attempts) - 1
	}
	return calls, reads, turns, repeated
}

// count says how many there are of each kind.
func count[T any](all []T, kind func(T) string) string {
	n := map[string]int{}
	for _, one := range all {
		n[kind(one)]++
	}
	var words []string
	for _, name := range slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(n[b]-n[a], strings.Compare(a, b)) }) {
		words = append(words, fmt.Sprintf("%d %s", n[name], name))
	}
	return strings.Join(words, "; ")
}

// spread says the middle and the end of some durations.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(share float64) time.Duration {
		return all[int(share*float64(len(all)-1))].Round(10 * time.Millisecond)
	}
	return fmt.Sprintf("median %v, 95th percentile %v, longest %v (%d)", at(0.5), at(0.95), at(1), len(all))
}
