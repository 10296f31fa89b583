package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// newHealthcheck lets a container without a shell or curl check itself.
func newHealthcheck() *cobra.Command {
	return &cobra.Command{
		Use:     "healthcheck URL",
		Short:   "Exit with 0 if a GET of the URL answers 200",
		Example: "  perdure healthcheck http://127.0.0.1:8080/readyz",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], http.NoBody)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answered %s", args[0], response.Status)
			}
			return nil
		},
	}
}
