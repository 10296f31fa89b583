package main

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{
		"--db", "t.db", "--listen", ":0", "--ui", "off", "--namespace", "mine", "--retention", "24h",
		"--log-level", "warn", "--exit-with-parent", "--", "go", "test", "--", "-v",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.db != "t.db" || o.listen != ":0" || o.ui != "" || o.namespace != "mine" || o.retention != 24*time.Hour ||
		o.logLevel.Level() != zap.WarnLevel || !o.exitWithParent ||
		!slices.Equal(o.command, []string{"go", "test", "--", "-v"}) {
		t.Errorf("got %+v", o)
	}

	o, err = parseOptions(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.listen != "127.0.0.1:7233" || o.ui != "127.0.0.1:8233" || o.namespace != "default" ||
		o.retention != 30*24*time.Hour || o.logLevel.Level() != zap.ErrorLevel || o.exitWithParent || o.command != nil {
		t.Errorf("defaults: got %+v", o)
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"serve"}, `unexpected argument "serve"`},
		{[]string{"--port", "1"}, "--help"},
		{[]string{"--"}, "no command"},
		{[]string{"--namespace", ""}, "--namespace"},
		{[]string{"--retention", "59m"}, "--retention"},
		{[]string{"--log-level", "loud"}, "--log-level"},
	}
	for _, tt := range tests {
		if _, err := parseOptions(tt.args, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}

func TestParseOptionsHelp(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{"Usage:", "-listen", "-exit-with-parent"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, &help)
		}
	}
}
