package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"perdure/config"
)

// bind declares a flag that overrides a key of the configuration.
func bind(flags *pflag.FlagSet, name, key, usage string) {
	flags.String(name, "", usage)
	// SetAnnotation fails only for a flag that does not exist.
	_ = flags.SetAnnotation(name, keyAnnotation, []string{key})
}

const keyAnnotation = "perdure config key"

// loadConfig reads the configuration of a command from its file, the environment and the flags that were given.
func loadConfig(cmd *cobra.Command) (config.Config, error) {
	o := config.Options{Environ: os.Environ(), Flags: map[string]string{}}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name == "config" {
			o.File = f.Value.String()
		}
		if key := f.Annotations[keyAnnotation]; len(key) == 1 {
			o.Flags[key[0]] = f.Value.String()
		}
	})
	return config.Load(o)
}

func newLogger(c config.Log, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
