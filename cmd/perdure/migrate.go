package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"perdure/workflows"
)

func newMigrate() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date, and register the search attributes of runs",
		Long: `Bring the database up to date, if the configuration names one by database.url or data.dir, and register the search attributes
by which runs can be found in the Temporal Web UI. It may be repeated. "perdure dev" does it by itself. On Temporal Cloud, where
clients may not register attributes, add those that the error names by hand.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), migrateTimeout)
			defer cancel()
			logger := newLogger(c.Log, cmd.ErrOrStderr())
			if c.HasDatabase() {
				applied, err := migrateDatabase(ctx, c, logger)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "database: %d migrations applied\n", applied)
			}
			temporal, err := dialTemporal(c.Temporal, nil, logger)
			if err != nil {
				return err
			}
			defer temporal.Close()
			added, err := registerSearchAttributes(ctx, temporal, namespaceOf(c.Temporal))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "search attributes: %d added, %d in all\n", added, len(searchAttributes()))
			return nil
		},
	}
}

const (
	migrateTimeout = 2 * time.Minute
	awaitInterval  = 500 * time.Millisecond
)

func searchAttributes() map[string]enumspb.IndexedValueType {
	keys := workflows.SearchAttributes()
	types := make(map[string]enumspb.IndexedValueType, len(keys))
	for _, k := range keys {
		types[k.GetName()] = k.GetValueType()
	}
	return types
}

// searchAttributeTypes are the types by their names.
func searchAttributeTypes() map[string]string {
	names := map[string]string{}
	for name, t := range searchAttributes() {
		names[name] = t.String()
	}
	return names
}

// registerSearchAttributes adds what the namespace lacks, and returns how many that were.
func registerSearchAttributes(ctx context.Context, c client.Client, namespace string) (int, error) {
	service := c.OperatorService()
	have, err := service.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return 0, fmt.Errorf("list search attributes of namespace %q: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, want := range searchAttributes() {
		got, ok := have.GetCustomAttributes()[name]
		switch {
		case !ok:
			missing[name] = want
		case got != want:
			return 0, fmt.Errorf("search attribute %s has type %s in namespace %q and must have %s: remove it there first", name, got, namespace, want)
		}
	}
	if len(missing) == 0 { // another process may have added them a moment ago
		return 0, awaitSearchAttributes(ctx, c, namespace)
	}
	_, err = service.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return 0, fmt.Errorf("add search attributes %v to namespace %q: %w", missing, namespace, err)
	}
	return len(missing), awaitSearchAttributes(ctx, c, namespace)
}

// awaitSearchAttributes returns once the server knows the attributes. A cluster caches them: until the caches are refreshed, which
// may take a minute, it refuses to start a run that has them.
func awaitSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	var terms []string
	for name := range searchAttributes() {
		terms = append(terms, name+" IS NOT NULL")
	}
	slices.Sort(terms)
	request := &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: strings.Join(terms, " AND ")}
	for {
		_, err := c.CountWorkflow(ctx, request)
		var unknown *serviceerror.InvalidArgument
		if !errors.As(err, &unknown) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the search attributes were added to namespace %q, and the server does not use them yet: %w", namespace, err)
		case <-time.After(awaitInterval):
		}
	}
}
