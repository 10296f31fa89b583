package workflows

import "time"

// window is how many lines may run at the same time. It is as wide as the batch wants and the organization has places for it, and
// narrower while a provider refuses turns because there are too many: each refusal halves it, and as many lines as it is wide that end
// without one make it wider by one.
type window struct {
	most  int // that the batch wants
	share int // that it may have of the organization's places
	width float64
	// epoch counts the refusals that were obeyed. Lines that began before the last one say nothing new.
	epoch int
}

func newWindow(most, share int) window { return window{most: most, share: share, width: float64(most)} }

// limit is how many lines may run now. It may be none where the organization has more batches than places.
func (w *window) limit() int { return min(w.most, w.share, max(1, int(w.width))) }

// ended takes note of a line that has ended and began in an epoch.
func (w *window) ended(epoch int, throttled bool) {
	switch {
	case !throttled:
		w.width = min(float64(w.most), w.width+1/w.width)
	case epoch == w.epoch:
		// It is halved from what was in use: a share that is smaller would else be narrowed only after several refusals.
		w.width = max(1, min(w.width, float64(max(1, w.share)))/2)
		w.epoch++
	}
}

// pace is how many lines end in a second.
type pace struct {
	Since time.Time `json:"since"`
	Ended int       `json:"ended"` // lines at that time
	Rate  float64   `json:"rate"`  // lines per second; 0 while it is not known
}

// paceOver is over how long the pace is measured; older measurements count half as much each time.
const paceOver = 30 * time.Second

func (p *pace) note(now time.Time, ended int) {
	if p.Since.IsZero() {
		p.Since, p.Ended = now, ended
		return
	}
	took := now.Sub(p.Since)
	if took < paceOver {
		return
	}
	rate := float64(ended-p.Ended) / took.Seconds()
	if p.Rate > 0 {
		rate = (p.Rate + rate) / 2
	}
	*p = pace{Since: now, Ended: ended, Rate: rate}
}

// left is how long so many lines take at this pace; 0 if it is not known.
func (p *pace) left(lines int) time.Duration {
	if p.Rate <= 0 {
		return 0
	}
	return (time.Duration(float64(lines)/p.Rate) * time.Second).Round(time.Second)
}
