package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
)

const (
	// retryWithin bounds the pause of a client before it tries again.
	retryWithin = 300 * time.Millisecond
	// retryTimeout bounds how long a client tries: longer than everything that is killed takes to come back.
	retryTimeout = 4 * time.Minute
)

// errAgain is how something fails that a client tries again, as all SDKs do: no answer, one that breaks off, 429 and 503.
var errAgain = errors.New("try again")

// again tells what is worth another try. Of a starter, nothing else may go wrong while parts are killed.
func again(status int, err error) error {
	var none *noStreamError
	if errors.As(err, &none) {
		status, err = none.status, nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errAgain, err)
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: status %d", errAgain, status)
	default:
		return nil
	}
}

// chaosRun is a planned run and what its client has seen of it.
type chaosRun struct {
	*plannedRun
	key    string
	id     string
	seen   []frame // of a stream
	answer []byte  // of a request that waited, or of the last poll

	tries   int         // requests that a client made, the good ones included
	refused map[int]int // answers that were 429 or 503
	gaps    []gap
	lost    time.Time // since when it is not served
	err     error
	// diverged is set when its events, read again, are not those that its client has seen.
	diverged bool
}

// gap is a time for which a client lost its connection, or got none, until it was served again.
type gap struct {
	from time.Time
	took time.Duration
}

func newChaosRun(p *plannedRun) *chaosRun {
	return &chaosRun{plannedRun: p, key: uuid.NewString(), refused: map[int]int{}}
}

// chaosClient does one task: it makes runs, one after another.
type chaosClient struct {
	machine *machine
	servers map[string]string // URLs by label
	runs    []*chaosRun
	// conversation is the ID of the one that the runs belong to, if they do.
	conversation string
}

// work does the task. What goes wrong is in the runs.
func (c *chaosClient) work(ctx context.Context) {
	for i, run := range c.runs {
		var members []string
		switch {
		case run.shape == shapeChain && i > 0:
			members = append(members, `"previous_response_id": "`+c.runs[i-1].id+`"`)
		case run.shape == shapeConversation && i == 0:
			run.err = run.insist(ctx, func() error { return c.begin(ctx, run) })
			fallthrough
		case run.shape == shapeConversation:
			members = append(members, `"conversation": "`+c.conversation+`"`)
		}
		if run.err == nil {
			run.err = c.do(ctx, run, run.body(c.servers, members...))
		}
		if run.err != nil {
			for _, next := range c.runs[i+1:] {
				next.err = errors.New("the run before it has failed")
			}
			return
		}
	}
}

func (c *chaosClient) do(ctx context.Context, run *chaosRun, body string) error {
	switch run.shape {
	case shapeStream, shapeAgain, shapeFollow:
		return run.insist(ctx, func() error { return c.stream(ctx, run, body) })
	case shapePoll:
		if err := run.insist(ctx, func() error { return c.ask(ctx, run, body) }); err != nil {
			return err
		}
		return run.insist(ctx, func() error { return c.poll(ctx, run) })
	default:
		return run.insist(ctx, func() error { return c.ask(ctx, run, body) })
	}
}

// insist tries until there is success, or a failure that no client has to live with.
func (r *chaosRun) insist(ctx context.Context, try func() error) error {
	giveUp := time.Now().Add(retryTimeout)
	for {
		had := len(r.seen)
		err := try()
		if !errors.Is(err, errAgain) {
			return err
		}
		if len(r.seen) > had {
			giveUp = time.Now().Add(retryTimeout)
		}
		if r.lost.IsZero() {
			r.lost = time.Now()
		}
		if time.Now().After(giveUp) || ctx.Err() != nil {
			return fmt.Errorf("given up: %w", err)
		}
		pause(ctx, time.Duration(uuid.New()[0])*retryWithin/256)
	}
}

// served notes that a starter has told the client something.
func (r *chaosRun) served() {
	if !r.lost.IsZero() {
		r.gaps = append(r.gaps, gap{r.lost, time.Since(r.lost)})
		r.lost = time.Time{}
	}
}

// call makes a request at any starter, whose answer must be a 200.
func (c *chaosClient) call(ctx context.Context, run *chaosRun, method, path, body string, headers ...string) ([]byte, error) {
	run.tries++
	a, err := send(ctx, method, c.machine.starter()+"/v1"+path, apiKey, body, headers...)
	if err := again(a.status, err); err != nil {
		run.refused[a.status]++
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %s", method, path, a.status, a.body)
	}
	run.served()
	return a.body, nil
}

// begin makes a conversation. If its answer is lost there are two, one of which nobody knows.
func (c *chaosClient) begin(ctx context.Context, run *chaosRun) error {
	body, err := c.call(ctx, run, http.MethodPost, "/conversations", `{}`)
	if err != nil {
		return err
	}
	var made struct{ ID string }
	err = json.Unmarshal(body, &made)
	c.conversation = made.ID
	return err
}

// ask makes the request for a run that is no stream.
func (c *chaosClient) ask(ctx context.Context, run *chaosRun, body string) error {
	answer, err := c.call(ctx, run, http.MethodPost, "/responses", body, "Idempotency-Key", run.key)
	if err != nil {
		return err
	}
	return run.take(answer)
}

// poll asks once, and is to be called again until the run is over.
func (c *chaosClient) poll(ctx context.Context, run *chaosRun) error {
	for {
		answer, err := c.call(ctx, run, http.MethodGet, "/responses/"+run.id, "")
		if err != nil {
			return err
		}
		if err := run.take(answer); err != nil {
			return err
		}
		var r response
		if err := json.Unmarshal(answer, &r); err != nil {
			return err
		}
		if r.Status != "queued" && r.Status != "in_progress" {
			return nil
		}
		if !pause(ctx, 5*pollEvery) {
			return ctx.Err()
		}
	}
}

// take keeps an answer, which must be one of the run's.
func (r *chaosRun) take(answer []byte) error {
	var got response
	if err := json.Unmarshal(answer, &got); err != nil {
		return err
	}
	if r.id != "" && got.ID != r.id {
		return fmt.Errorf("the run %s is %s when it is asked for again", r.id, got.ID)
	}
	r.id, r.answer = got.ID, answer
	return nil
}

// stream reads events to the end, or to where the stream breaks off or the client leaves.
func (c *chaosClient) stream(ctx context.Context, run *chaosRun, body string) error {
	s, at, err := c.open(ctx, run, body)
	if err != nil {
		var none *noStreamError
		if errors.As(err, &none) {
			run.refused[none.status]++
		}
		if passing := again(http.StatusOK, err); passing != nil {
			return passing
		}
		return err
	}
	defer s.cut()
	for {
		if len(run.leaves) > 0 && at >= run.leaves[0] {
			run.leaves = run.leaves[1:]
			return fmt.Errorf("%w: the client has left", errAgain)
		}
		f, err := s.next()
		switch {
		case err == io.EOF: //nolint:errorlint // next returns it as it is
			if at != len(run.seen) {
				return fmt.Errorf("sent again, the stream has %d events, and had %d", at, len(run.seen))
			}
			return nil
		case errors.Is(err, errCutOff):
			return fmt.Errorf("%w: %w", errAgain, err)
		case err != nil:
			return err
		}
		run.served()
		if err := run.see(f, at); err != nil {
			return err
		}
		at++
	}
}

// open asks for the events, from the number that it returns on.
func (c *chaosClient) open(ctx context.Context, run *chaosRun, body string) (*sse, int, error) {
	run.tries++
	starter := c.machine.starter()
	if run.id == "" || run.shape == shapeAgain {
		s, err := openStream(ctx, http.MethodPost, starter+"/v1/responses", body, "Idempotency-Key", run.key)
		return s, 0, err
	}
	s, err := resume(ctx, starter, run.id, len(run.seen)-1)
	return s, len(run.seen), err
}

// see takes an event in. One that was there before must be the same.
func (r *chaosRun) see(f frame, at int) error {
	if at < len(r.seen) {
		if f != r.seen[at] {
			return fmt.Errorf("event %d was\n%+v, and sent again is\n%+v", at, r.seen[at], f)
		}
		return nil
	}
	var e event
	if err := json.Unmarshal([]byte(f.data), &e); err != nil {
		return err
	}
	if e.Sequence == nil || *e.Sequence != at {
		return fmt.Errorf("event %d has another number: %s", at, f.data)
	}
	if at == 0 && e.Response != nil {
		r.id = e.Response.ID
	}
	r.seen = append(r.seen, f)
	return nil
}
