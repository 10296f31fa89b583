package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"perdure/internal/apiclient"
	"perdure/internal/terminal"
)

const (
	// shownFailures is how many failed requests are told of one by one.
	shownFailures = 20
	// plainEvery is how often progress is written where lines cannot be written again.
	plainEvery = 10 * time.Second
	// rateOver is the time over which the rate is measured, if the server does not tell it.
	rateOver = 30 * time.Second
)

// batchView shows how far a batch is: a bar where a terminal can show one, else a line now and then.
type batchView struct {
	s    *session
	live *terminal.Live
	stop chan struct{}
	over sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	batch    apiclient.Batch
	sent     int64 // bytes of the upload; -1 when there is none under way
	size     int64
	failures int
	trouble  string // why the server is waited for
	past     []batchMoment
	told     time.Time // when a plain line was written
	tell     string    // that line
}

// batchMoment is how far a batch was.
type batchMoment struct {
	at   time.Time
	done int
}

func newBatchView(s *session) *batchView {
	v := &batchView{s: s, live: terminal.NewLive(s.err), stop: make(chan struct{}), sent: -1, told: time.Now()}
	v.over.Go(func() {
		ticker := time.NewTicker(tickEvery)
		defer ticker.Stop()
		for {
			select {
			case <-v.stop:
				return
			case <-ticker.C:
				v.with(v.draw)
			}
		}
	})
	return v
}

// with does something that no other may do meanwhile.
func (v *batchView) with(do func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		do()
	}
}

// close writes no more, and leaves the last line.
func (v *batchView) close() {
	v.with(func() {
		v.closed = true
		v.live.Clear()
		if v.batch.ID != "" {
			v.s.note("%s", v.line(false))
		}
		close(v.stop)
	})
	v.over.Wait()
}

func (v *batchView) uploading(sent, total int64) {
	v.with(func() {
		v.trouble = ""
		if v.sent, v.size = sent, total; sent == total {
			v.sent = -1
		}
		v.drawPlain()
	})
}

func (v *batchView) changed(b apiclient.Batch) {
	v.with(func() {
		moved := b.Status != v.batch.Status || b.Done() != v.batch.Done() || b.Paused != v.batch.Paused
		v.batch, v.sent, v.trouble = b, -1, ""
		now := time.Now()
		v.past = append(v.past, batchMoment{now, b.Done()})
		for len(v.past) > 2 && now.Sub(v.past[0].at) > rateOver {
			v.past = v.past[1:]
		}
		if v.s.json {
			if moved && !b.Ended() {
				_ = v.s.printJSON(b.Raw) // a reader that has gone ends the command elsewhere
			}
			return
		}
		v.draw()
		v.drawPlain()
	})
}

// failure tells of a request that failed, as long as there are few.
func (v *batchView) failure(line []byte) {
	v.with(func() {
		switch v.failures++; {
		case v.failures > shownFailures+1:
		case v.failures > shownFailures:
			v.write("  and others: they are in the file of those that failed")
		default:
			v.write(v.s.err.Paint(terminal.Red, "✗") + " " + terminal.Cut(failedRequest(line), v.width()-2))
		}
	})
}

func (v *batchView) width() int {
	if v.s.err.Terminal {
		return v.s.err.Width() - 1
	}
	return shownText
}

// failedRequest says which request failed, and why.
func failedRequest(line []byte) string {
	type failure struct{ Message string }
	var in struct {
		CustomID string `json:"custom_id"`
		Error    *failure
		Response *struct {
			StatusCode int `json:"status_code"`
			Body       struct{ Error *failure }
		}
	}
	// What cannot be read is shown as it is.
	if json.Unmarshal(line, &in) != nil || in.CustomID == "" {
		return terminal.Line(string(line), shownText)
	}
	why := "failed"
	switch {
	case in.Error != nil && in.Error.Message != "":
		why = in.Error.Message
	case in.Response != nil && in.Response.Body.Error != nil:
		why = fmt.Sprintf("%s (HTTP %d)", in.Response.Body.Error.Message, in.Response.StatusCode)
	case in.Response != nil:
		why = fmt.Sprintf("HTTP %d", in.Response.StatusCode)
	}
	return terminal.Line(in.CustomID+": "+why, 0)
}

func (v *batchView) note(text string) { v.with(func() { v.write(text) }) }

func (v *batchView) pausing(reason error, pause time.Duration) {
	v.with(func() {
		trouble := fmt.Sprintf("%v; trying again in %s", reason, pause.Round(100*time.Millisecond))
		if v.trouble == "" && !v.s.err.Redraw && pause >= time.Second {
			v.s.note("%s", terminal.Line(trouble, 0))
		}
		if pause >= time.Second {
			v.trouble = trouble
		}
		v.draw()
	})
}

// write writes a line that stays.
func (v *batchView) write(text string) {
	v.live.Clear()
	v.s.note("%s", text)
	v.draw()
}

// draw writes the lines that change.
func (v *batchView) draw() {
	if !v.s.err.Redraw {
		return
	}
	width := v.width()
	var lines []string
	if v.sent >= 0 || v.batch.ID != "" {
		lines = append(lines, v.line(true))
	}
	if v.trouble != "" {
		lines = append(lines, v.s.err.Paint(terminal.Yellow, terminal.Line(v.trouble, width)))
	}
	v.live.Show(lines...)
}

// drawPlain writes a line now and then, where that says something new.
func (v *batchView) drawPlain() {
	if v.s.err.Redraw || v.s.json || time.Since(v.told) < plainEvery || v.batch.Ended() || v.sent < 0 && v.batch.ID == "" {
		return
	}
	if line := v.line(false); line != v.tell {
		v.told, v.tell = time.Now(), line
		v.s.note("%s", line)
	}
}

const barColumns = 24

// line says how far it is, behind a bar if that is wanted.
func (v *batchView) line(bar bool) string {
	var done, total float64
	var parts []string
	b := v.batch
	if v.sent >= 0 {
		done, total = float64(v.sent), float64(v.size)
		parts = append(parts, fmt.Sprintf("sending %s of %s", bytesText(v.sent), bytesText(v.size)))
	} else {
		done, total = float64(b.Done()), float64(b.Counts.Total)
		parts = v.progress()
	}
	text := strings.Join(parts, " · ")
	if !bar {
		return text
	}
	share := "  0%"
	if total > 0 {
		share = fmt.Sprintf("%3.0f%%", 100*min(1, done/total))
	}
	front := terminal.Bar(done, total, barColumns) + " " + share + " "
	return v.s.err.Paint(terminal.Cyan, front) + terminal.Cut(text, v.width()-terminal.Columns(front))
}

// progress is what a line says of the batch.
func (v *batchView) progress() []string {
	b := v.batch
	parts := []string{fmt.Sprintf("%s of %s", grouped(b.Done()), grouped(b.Counts.Total))}
	if b.Counts.Failed > 0 {
		parts = append(parts, grouped(b.Counts.Failed)+" failed")
	}
	if b.Ended() || b.Status != "in_progress" || b.Paused {
		parts = append(parts, batchState(b))
	}
	if rate, left := v.rate(); rate > 0 && !b.Ended() {
		parts = append(parts, fmt.Sprintf("%.1f/s", rate))
		if left > 0 {
			parts = append(parts, about(left)+" left")
		}
	}
	if p := b.Progress; p != nil && !b.Ended() {
		parts = append(parts, grouped(p.Running)+" under way")
		if p.Throttled > 0 {
			parts = append(parts, "slowed by the provider")
		}
	}
	return append(parts, b.ID)
}

// rate is how many requests end in a second, and how long it takes until all have; 0 while it is not known.
func (v *batchView) rate() (perSecond float64, left time.Duration) {
	b := v.batch
	if p := b.Progress; p != nil && p.LinesPerSecond > 0 {
		return p.LinesPerSecond, time.Duration(p.SecondsLeft) * time.Second
	}
	if len(v.past) < 2 {
		return 0, 0
	}
	first, last := v.past[0], v.past[len(v.past)-1]
	if seconds := last.at.Sub(first.at).Seconds(); seconds > 0 {
		perSecond = float64(last.done-first.done) / seconds
	}
	if perSecond > 0 {
		left = time.Duration(float64(b.Counts.Total-b.Done()) / perSecond * float64(time.Second))
	}
	return perSecond, left
}

// bytesText writes a size.
func bytesText(n int64) string {
	switch {
	case n < 10_000:
		return grouped(int(n)) + " bytes"
	case n < 10_000_000:
		return fmt.Sprintf("%.0f KB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}
