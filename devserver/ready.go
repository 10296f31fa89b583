package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	probeInterval = 10 * time.Millisecond
	probeTimeout  = 5 * time.Second
)

// awaitReady returns once a client can start a workflow in the namespace and the UI answers.
func (s *server) awaitReady(ctx context.Context) error {
	conn, err := grpc.NewClient(s.endpoints.Address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// The default waits a second after a first failed connection.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: probeInterval, Multiplier: 1, MaxDelay: probeInterval},
		}),
	)
	if err != nil {
		return err
	}
	defer conn.Close()
	frontend := workflowservice.NewWorkflowServiceClient(conn)

	if err := retry(ctx, func(ctx context.Context) error { return s.probeNamespace(ctx, frontend) }); err != nil {
		return fmt.Errorf("namespace %q: %w", s.namespace, err)
	}
	if s.ui == nil {
		return nil
	}
	if err := retry(ctx, s.probeUI); err != nil {
		return fmt.Errorf("web UI: %w", err)
	}
	return nil
}

// probeNamespace succeeds when the namespace can be used, and applies a retention that differs from the
// namespace's.
func (s *server) probeNamespace(ctx context.Context, frontend workflowservice.WorkflowServiceClient) error {
	ns, err := frontend.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.namespace})
	if err != nil {
		return err
	}
	if ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() != s.retention {
		if _, err := frontend.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
			Namespace: s.namespace,
			Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(s.retention)},
		}); err != nil {
			return err
		}
	}
	// Only the history service, once it owns its shards, can tell that a workflow is unknown.
	_, err = frontend.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: s.namespace,
		Execution: &commonpb.WorkflowExecution{WorkflowId: "perdure-temporal-probe"},
	})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err == nil {
		return errors.New("the probe's workflow exists")
	}
	return err
}

func (s *server) probeUI(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoints.UI+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// retry calls probe until it succeeds or ctx ends; then its error holds the last failure.
func retry(ctx context.Context, probe func(context.Context) error) error {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		probeCtx, cancel := context.WithTimeout(ctx, probeTimeout)
		err := probe(probeCtx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
