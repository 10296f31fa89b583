package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// measureIdle measures the memory of streams in which nothing happens: first of many clients that follow one run, then of runs, and
// then of one client for each of those.
func (b *streamBench) measureIdle(ctx context.Context, n int) error {
	product, err := startPerdure(ctx, b.binary, b.talker.origin, b.log, b.room, traceHeap)
	if err != nil {
		return err
	}
	defer product.close()
	r := newRound(2*n+2, 0, 0) // the model is waited for in vain
	b.talker.begin(r)
	first, err := product.background(ctx, r, "warm-up")
	if err != nil {
		return err
	}
	// What is made once, such as connections, is not a stream's.
	if err := product.watchAll(ctx, repeat(first, min(n, 50)), func() error { return nil }); err != nil {
		return err
	}
	fmt.Printf("\n%-48s %14s %14s\n", fmt.Sprintf("memory for each of %d", n), "heap+stacks KB", "resident KB")
	before, err := product.measure(ctx)
	if err != nil {
		return err
	}
	show := func(name string) error {
		after, err := product.measure(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%-48s %14.1f %14.1f\n", name, each(after.heap-before.heap, n), each(after.resident-before.resident, n))
		before = after
		return nil
	}
	if err := product.watchAll(ctx, repeat(first, n), func() error { return show("clients of one run") }); err != nil {
		return err
	}
	if before, err = product.measure(ctx); err != nil {
		return err
	}
	runs := make([]string, n)
	for i := range runs {
		if runs[i], err = product.background(ctx, r, fmt.Sprintf("run %d", i)); err != nil {
			return err
		}
	}
	if err := show("runs that wait for their model"); err != nil {
		return err
	}
	return product.watchAll(ctx, runs, func() error { return show("clients of these, one each") })
}

func repeat(id string, n int) []string { return strings.Fields(strings.Repeat(id+" ", n)) }

func each(bytes, n int) float64 { return float64(bytes) / float64(n) / 1024 }

// background makes a run and waits until it has come to the model.
func (p *perdure) background(ctx context.Context, r *round, name string) (string, error) {
	request, err := p.request(ctx, http.MethodPost, "/v1/responses", `{"model":"bench/m","background":true,"input":`+quote(name)+`}`)
	if err != nil {
		return "", err
	}
	body, err := open(p.client, request)
	if err != nil {
		return "", err
	}
	defer body.Close()
	var response struct{ ID string }
	if err := json.NewDecoder(body).Decode(&response); err != nil {
		return "", err
	}
	if !receive(ctx, r.arrived, 1) {
		return "", ctx.Err()
	}
	return response.ID, nil
}

// watchAll opens a stream of each response, calls f while all of them are open and have nothing to say, and closes them.
func (p *perdure) watchAll(ctx context.Context, ids []string, f func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	streams := make([]io.ReadCloser, 0, len(ids))
	defer func() {
		cancel()
		for _, s := range streams {
			s.Close()
		}
	}()
	for _, id := range ids {
		r, err := p.request(ctx, http.MethodGet, "/v1/responses/"+id+"?stream=true", "")
		if err != nil {
			return err
		}
		s, err := open(p.streams, r)
		if err != nil {
			return err
		}
		streams = append(streams, s)
		if err := awaitEvent(s, "response.in_progress"); err != nil {
			return err
		}
	}
	return f()
}

// awaitEvent reads to the first event of a type.
func awaitEvent(from io.Reader, kind string) error {
	found := errors.New("found")
	err := read(from, func(data []byte, _ time.Time) error {
		var e event
		if err := json.Unmarshal(data, &e); err != nil {
			return err
		}
		if e.Type == kind {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return nil
	}
	return err
}

// memory is what the product has in use, in bytes.
type memory struct{ heap, resident int }

// settling is how long what was just begun may take to come to rest.
const settling = 3 * time.Second

// measure lets the product collect its garbage, twice, since a collection may have begun before everything was at rest.
func (p *perdure) measure(ctx context.Context) (memory, error) {
	select {
	case <-ctx.Done():
		return memory{}, ctx.Err()
	case <-time.After(settling):
	}
	var m memory
	var err error
	if m.resident, err = p.resident(); err != nil {
		return m, err
	}
	began, _ := p.memory.latest()
	for {
		collections, inUse := p.memory.latest()
		if collections >= began+2 {
			m.heap = inUse
			return m, nil
		}
		if err := p.waste(ctx); err != nil {
			return m, err
		}
	}
}

// waste makes the product produce garbage: with a request that it has to read to refuse it.
func (p *perdure) waste(ctx context.Context) error {
	r, err := p.request(ctx, http.MethodPost, "/v1/responses", strings.Repeat(" ", 64<<10))
	if err != nil {
		return err
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("status %d for an empty request", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
