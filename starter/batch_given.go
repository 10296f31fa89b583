package starter

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"perdure/internal/batch"
	"perdure/internal/file"
	"perdure/internal/identity"
	"perdure/internal/responses"
)

// givenBatch is what a client says of a batch. Concurrency is ours.
type givenBatch struct {
	InputFileID        string            `json:"input_file_id"`
	Endpoint           string            `json:"endpoint"`
	CompletionWindow   string            `json:"completion_window"`
	Metadata           map[string]string `json:"metadata"`
	OutputExpiresAfter *expiresAfter     `json:"output_expires_after"`
	Concurrency        *int              `json:"concurrency"`

	window time.Duration
}

type expiresAfter struct {
	Anchor  string `json:"anchor"`
	Seconds int64  `json:"seconds"`
}

// givenBatchRetry is the same for a retry, which has its file and its endpoint.
type givenBatchRetry struct {
	CompletionWindow string            `json:"completion_window"`
	Metadata         map[string]string `json:"metadata"`
	Concurrency      *int              `json:"concurrency"`
}

// Bounds, most of which are OpenAI's.
const (
	minWindow, maxWindow       = time.Hour, 30 * 24 * time.Hour
	minOutputAge, maxOutputAge = time.Hour, 30 * 24 * time.Hour
	maxBatchMetadata           = 16
	maxBatchMetadataKey        = 64
	maxBatchMetadataValue      = 512
)

func decodeBatch(body []byte, l BatchLimits) (givenBatch, error) {
	var g givenBatch
	if err := responses.DecodeStrict(body, &g); err != nil {
		return g, err
	}
	return g, g.checkAll(l)
}

// checkAll checks what is said of a batch that is no retry.
func (g *givenBatch) checkAll(l BatchLimits) error {
	switch {
	case g.InputFileID == "":
		return responses.Invalid("input_file_id", "is missing: upload a file with the purpose batch first")
	case !file.IsID(g.InputFileID):
		return responses.Invalid("input_file_id", "there is no file '%s'", clip(g.InputFileID))
	case g.Endpoint != batch.Endpoint:
		return responses.Invalid("endpoint", "must be %s, not '%s'", batch.Endpoint, clip(g.Endpoint))
	case g.OutputExpiresAfter != nil && g.OutputExpiresAfter.Anchor != "created_at":
		return responses.Invalid("output_expires_after.anchor", "must be created_at")
	}
	if e := g.OutputExpiresAfter; e != nil && (e.Seconds < int64(minOutputAge/time.Second) || e.Seconds > int64(maxOutputAge/time.Second)) {
		return responses.Invalid("output_expires_after.seconds", "must be %d to %d", minOutputAge/time.Second, maxOutputAge/time.Second)
	}
	return g.check(l)
}

// decodeRetry reads the body of a retry, which may be empty. What it does not say is as it was in the batch before.
func decodeRetry(body []byte, of *batch.Batch, l BatchLimits) (givenBatch, error) {
	var r givenBatchRetry
	if len(bytes.TrimSpace(body)) > 0 {
		if err := responses.DecodeStrict(body, &r); err != nil {
			return givenBatch{}, err
		}
	}
	g := givenBatch{Endpoint: of.Endpoint, CompletionWindow: r.CompletionWindow, Metadata: r.Metadata, Concurrency: r.Concurrency}
	if g.CompletionWindow == "" {
		g.CompletionWindow = windowText(of.Window)
	}
	if g.Metadata == nil {
		g.Metadata = of.Metadata
	}
	if g.Concurrency == nil {
		n := min(of.Concurrency, l.Concurrency)
		g.Concurrency = &n
	}
	return g, g.check(l)
}

// check checks what a batch and a retry have both.
func (g *givenBatch) check(l BatchLimits) error {
	var err error
	if g.window, err = parseWindow(g.CompletionWindow); err != nil {
		return err
	}
	if g.Concurrency != nil && (*g.Concurrency < 1 || *g.Concurrency > l.Concurrency) {
		return responses.Invalid("concurrency", "must be 1 to %d", l.Concurrency)
	}
	if g.Concurrency == nil {
		g.Concurrency = &l.Concurrency
	}
	if len(g.Metadata) > maxBatchMetadata {
		return responses.Invalid("metadata", "must have %d members at most", maxBatchMetadata)
	}
	for name, value := range g.Metadata {
		if len(name) > maxBatchMetadataKey || len(value) > maxBatchMetadataValue {
			return responses.Invalid("metadata", "must have keys of %d characters at most, and values of %d", maxBatchMetadataKey, maxBatchMetadataValue)
		}
	}
	return nil
}

// parseWindow reads a completion window: a number with m, h or d.
func parseWindow(text string) (time.Duration, error) {
	invalid := responses.Invalid("completion_window", "must be 24h, or another time of 1h to 30d, such as 90m, 12h or 7d")
	unit := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	if text == "" || unit[text[len(text)-1]] == 0 {
		return 0, invalid
	}
	n, err := strconv.Atoi(text[:len(text)-1])
	if err != nil || n < 1 || n > int(maxWindow/time.Minute) || strings.HasPrefix(text, "+") {
		return 0, invalid
	}
	d := time.Duration(n) * unit[text[len(text)-1]]
	if d < minWindow || d > maxWindow {
		return 0, invalid
	}
	return d, nil
}

func windowText(d time.Duration) string {
	if d%time.Hour == 0 {
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}

// batch is what is stored of it.
func (g *givenBatch) batch(who identity.Principal, key string) batch.Batch {
	b := batch.Batch{
		ID: batch.NewID(who.Organization, who.User, key), Organization: who.Organization, User: who.User, Key: who.Key,
		Endpoint: g.Endpoint, InputFile: g.InputFileID, OutputFile: file.NewID(), ErrorFile: file.NewID(),
		Window: g.window, Concurrency: *g.Concurrency, Metadata: g.Metadata, Status: batch.Validating,
		OutputAge: defaultOutputAge,
	}
	b.Times.Created = time.Now().UTC().Truncate(time.Microsecond)
	if g.OutputExpiresAfter != nil {
		b.OutputAge = time.Duration(g.OutputExpiresAfter.Seconds) * time.Second
	}
	return b
}

// defaultOutputAge is how long the files of a batch are kept after its completion window.
const defaultOutputAge = 30 * 24 * time.Hour
