package events

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A message that was lost on the way shows in the next one, which names the one before it.
func TestReceive(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		number, before uint64
		ready          int
		behind         bool
	}{
		"the next one":          {11, 10, 1, false},
		"with others between":   {15, 10, 1, false},
		"one is missing":        {15, 12, 0, true},
		"the one before is old": {15, 0, 0, true},
		"the last one again":    {10, 8, 0, false},
		"one that is known":     {8, 7, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := nats.NewMsg("perdure.live.resp_1")
			m.Header.Set(jetstream.SequenceHeader, strconv.FormatUint(tc.number, 10))
			m.Header.Set(jetstream.LastSequenceHeader, strconv.FormatUint(tc.before, 10))
			r := &Reader{last: 10}
			r.receive(m)
			if len(r.ready) != tc.ready || r.behind != tc.behind {
				t.Errorf("%d messages are ready, behind: %v; want %d and %v", len(r.ready), r.behind, tc.ready, tc.behind)
			}
		})
	}
}
