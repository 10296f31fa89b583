package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"perdure/internal/blob"
	"perdure/internal/events"
)

// eventLog is the event log alone, with its server in this process: what a delta takes without model, renderer and HTTP.
type eventLog struct {
	dir string
	log *events.Log
}

func openEventLog(ctx context.Context) (*eventLog, error) {
	dir, err := os.MkdirTemp("", "perdure-bench-")
	if err != nil {
		return nil, err
	}
	blobs, err := blob.Open(blob.Options{Dir: filepath.Join(dir, "blobs"), CacheBytes: 1 << 20})
	if err != nil {
		return nil, err
	}
	log, err := events.Connect(ctx, events.Options{
		Dir: filepath.Join(dir, "events"), MaxAge: time.Hour, Replicas: 1, Blobs: blobs, Logger: slog.New(slog.DiscardHandler),
	})
	return &eventLog{dir: dir, log: log}, err
}

func (l *eventLog) close() {
	_ = l.log.Close()
	_ = os.RemoveAll(l.dir)
}

func (l *eventLog) listen(ctx context.Context, r *round, name string, h *heard) error {
	id := fmt.Sprintf("resp_%d_%s", time.Now().UnixNano(), strings.ReplaceAll(name, " ", "_"))
	reader, err := l.log.Read(ctx, id)
	if err != nil {
		return err
	}
	defer reader.Close()
	step := l.log.Step(id, "turn-1-1")
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		at := 0
		return r.say(ctx, name, func(text string) error {
			step.Publish(events.Event{
				Kind: events.DeltaAdded, Turn: 1, Try: 1, ItemID: "msg_1", Delta: &events.Delta{Part: events.PartText, At: at, Text: text},
			})
			at += len(text)
			return nil
		})
	})
	both.Go(func() error {
		for len(h.delays) < r.deltas {
			e, err := reader.Next(ctx)
			if err != nil {
				return err
			}
			if err := h.add(e.Delta.Text, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	return both.Wait()
}
