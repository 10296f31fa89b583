package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
)

// measureBatch measures how many lines of a batch end in a second, against a model that answers at once, beside how many child workflows do
// that do nothing, of a parent that keeps as many of them under way, on the same server.
func measureBatch(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("batch", flag.ExitOnError)
	lines := flags.Int("lines", 2000, "lines of the batch")
	bare := flags.Int("bare", 1000, "children of the bare parents")
	concurrency := flags.Int("concurrency", 32, "lines, or children, under way at the same time")
	binary := flags.String("perdure", "bin/perdure", "the perdure binary to measure")
	temporal := flags.String("temporal", "bin/perdure-temporal", "the Temporal server")
	log := flags.String("log", "", "a file for what the processes log")
	every := flags.Duration("every", 30*time.Second, "how often to tell how far the batch is")
	if err := flags.Parse(args); err != nil {
		return err
	}
	model, err := startInstantModel()
	if err != nil {
		return err
	}
	defer model.close()
	p, err := startProcesses(ctx, *binary, *temporal, model.origin, *concurrency, *log)
	if err != nil {
		return err
	}
	defer p.close()
	for _, children := range []barePlan{{"do nothing", 0}, {"make two steps that do nothing", 2}} {
		rate, err := p.runBare(ctx, *bare, *concurrency, children.steps)
		if err != nil {
			return fmt.Errorf("bare children: %w", err)
		}
		fmt.Printf("bare children that %s: %d, %d at a time: %.1f per second\n", children.name, *bare, *concurrency, rate)
	}
	return p.runBatch(ctx, *lines, *every)
}

type barePlan struct {
	name  string
	steps int
}

// shownBatch is what is read of a batch.
type shownBatch struct {
	ID            string
	Status        string
	OutputFileID  string                                 `json:"output_file_id"`
	CreatedAt     int64                                  `json:"created_at"`
	RequestCounts struct{ Total, Completed, Failed int } `json:"request_counts"`
	Progress      struct {
		Running, Window, Throttled int
		LinesPerSecond             float64 `json:"lines_per_second"`
	}
}

func (p *processes) runBatch(ctx context.Context, lines int, every time.Duration) error {
	began := time.Now()
	fileID, size, err := p.upload(ctx, lines)
	if err != nil {
		return err
	}
	fmt.Printf("upload: %d lines, %.1f MB in %v\n", lines, float64(size)/1e6, time.Since(began).Round(time.Millisecond))
	began = time.Now()
	var b shownBatch
	err = p.call(ctx, http.MethodPost, "/v1/batches", "application/json",
		strings.NewReader(fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h"}`, fileID)), &b)
	if err != nil {
		return err
	}
	before := p.used()
	for told := began; b.Status != "completed"; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if err := p.call(ctx, http.MethodGet, "/v1/batches/"+b.ID, "", http.NoBody, &b); err != nil {
			return err
		}
		if time.Since(told) > every {
			told = time.Now()
			fmt.Printf("  %7d of %d lines after %v, %.1f per second now, %d running; %s\n", b.RequestCounts.Completed, lines,
				time.Since(began).Round(time.Second), b.Progress.LinesPerSecond, b.Progress.Running, p.memory())
		}
		if b.Status == "failed" || b.Status == "expired" || b.RequestCounts.Failed > 0 {
			return fmt.Errorf("the batch is %+v", b)
		}
	}
	took := time.Since(began)
	if err := p.checkOutput(ctx, b.OutputFileID, lines); err != nil {
		return err
	}
	fmt.Printf("perdure: %d lines in %v: %.1f per second\n", lines, took.Round(time.Millisecond), float64(lines)/took.Seconds())
	fmt.Printf("peak memory: %s\n", p.memory())
	for i, used := range p.used() {
		fmt.Printf("processor of the %s: %.2f cores, %.1f ms for each line\n", p.all[i].name, (used-before[i]).Seconds()/took.Seconds(),
			(used-before[i]).Seconds()*1000/float64(lines))
	}
	return p.histories(ctx, b.ID)
}

// upload uploads a file whose lines are as long as a short question.
func (p *processes) upload(ctx context.Context, lines int) (id string, size int, err error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("purpose", "batch"); err != nil {
		return "", 0, err
	}
	part, err := form.CreateFormFile("file", "bench.jsonl")
	if err != nil {
		return "", 0, err
	}
	for n := range lines {
		fmt.Fprintf(part, `{"custom_id":"line-%d","method":"POST","url":"/v1/responses","body":{"model":"bench/m","input":"In one word: is the `+
			`sentiment of this review good or bad? %s No. %d."}}`+"\n", n, strings.Repeat("The room was clean and the staff were kind. ", 10), n)
	}
	if err := form.Close(); err != nil {
		return "", 0, err
	}
	size = body.Len()
	var f struct{ ID string }
	err = p.call(ctx, http.MethodPost, "/v1/files", form.FormDataContentType(), &body, &f)
	return f.ID, size, err
}

// checkOutput wants an answer for each line, in order.
func (p *processes) checkOutput(ctx context.Context, fileID string, lines int) error {
	resp, err := p.do(ctx, http.MethodGet, "/v1/files/"+fileID+"/content", "", http.NoBody)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := bufio.NewReaderSize(resp.Body, 1<<20)
	for n := 0; ; n++ {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && n == lines {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d of the output: %w", n, err)
		}
		var line struct {
			CustomID string `json:"custom_id"`
			Response struct {
				StatusCode int `json:"status_code"`
				Body       struct{ Status string }
			}
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		if line.CustomID != fmt.Sprint("line-", n) || line.Response.StatusCode != http.StatusOK || line.Response.Body.Status != "completed" {
			return fmt.Errorf("line %d of the output is %.200s", n, text)
		}
	}
}

// call makes a request of the API whose answer is JSON.
func (p *processes) call(ctx context.Context, method, path, kind string, body io.Reader, into any) error {
	resp, err := p.do(ctx, method, path, kind, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

func (p *processes) do(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+benchKey)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp, nil
}
