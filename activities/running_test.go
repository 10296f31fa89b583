package activities

import (
	"testing"
	"time"
)

func TestManyStepsBeatLessOften(t *testing.T) {
	t.Parallel()
	a := &Activities{Options: Options{HeartbeatEvery: time.Second}}
	for _, c := range []struct {
		steps int
		want  time.Duration
	}{
		{1, time.Second},
		{100, time.Second},
		{150, 1500 * time.Millisecond},
		{1000, 1800 * time.Millisecond},
	} {
		for a.running.number() < c.steps {
			a.running.add(&step{responseID: "resp_1"})
		}
		if got := a.untilBeat(); got != c.want {
			t.Errorf("with %d steps: got %v, want %v", c.steps, got, c.want)
		}
	}
	for s := range a.running.steps["resp_1"] {
		a.running.remove(s)
	}
	if n := a.running.number(); n != 0 {
		t.Errorf("%d steps are left", n)
	}
}
