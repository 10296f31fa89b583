package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"perdure/config"
	"perdure/internal/apiclient"
	"perdure/internal/secret"
	"perdure/internal/terminal"
)

// The commands of this file and those that use it are clients of the API, unlike those that work on the database of the configuration.

// session is a command at work on a server.
type session struct {
	*apiclient.Client
	cmd  *cobra.Command
	out  terminal.Out // standard output
	err  terminal.Out // standard error
	json bool

	// pausing, if it is set, hears of pauses in the place of standard error.
	pausing func(reason error, pause time.Duration)
	told    time.Time // when a pause was told of last
}

// bindAPI declares the flags of commands that call the API.
func bindAPI(cmd *cobra.Command) {
	flags := cmd.Flags()
	bind(flags, "server", "client.url", "`URL` of the server (PERDURE_URL; default: the \"perdure dev\" of this directory, or http://127.0.0.1:8080)")
	bind(flags, "api-key-file", "client.api_key_file", "`FILE` that holds the API key (default: the variable PERDURE_API_KEY, or the key of that \"perdure dev\")")
	bind(flags, "data", "data.dir", "`DIR` of a \"perdure dev\" on this machine (default "+defaultDataDir+")")
	flags.Bool("json", false, "print JSON, one value on a line, for programs")
	flags.BoolP("verbose", "v", false, "tell of every request, with its ID in the server's log")
}

// bindAPIs declares them for all commands below.
func bindAPIs(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		bindAPI(sub)
	}
}

// withAPI makes a command of a function that works on a server.
func withAPI(do func(s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := openSession(cmd)
		if err != nil {
			return err
		}
		defer s.Close()
		err = do(s, args)
		interrupted := cmd.Context().Err() != nil && errors.Is(err, context.Canceled)
		if interrupted || errors.Is(err, terminal.ErrInterrupted) {
			return &exit{code: exitInterrupted}
		}
		return s.explain(err)
	}
}

// explain adds what a person who looks for the cause needs.
func (s *session) explain(err error) error {
	var refused *apiclient.Error
	if !s.flag("verbose") || !errors.As(err, &refused) || refused.RequestID == "" {
		return err
	}
	code := exitError
	var with *exit
	if errors.As(err, &with) {
		code = with.code
	}
	return &exit{code, fmt.Errorf("%w (HTTP %d, request %s)", err, refused.Status, refused.RequestID)}
}

func (s *session) flag(name string) bool {
	set, err := s.cmd.Flags().GetBool(name)
	return err == nil && set
}

// openSession finds out which server to call, and as whom.
func openSession(cmd *cobra.Command) (*session, error) {
	c, err := loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	s := &session{
		cmd: cmd, out: terminal.Of(cmd.OutOrStdout(), os.Getenv), err: terminal.Of(cmd.ErrOrStderr(), os.Getenv),
	}
	s.json = s.flag("json")
	o, err := clientOptions(c)
	if err != nil {
		return nil, err
	}
	o.Waiting = s.waiting
	o.Patience, _ = time.ParseDuration(cmd.Annotations[patienceAnnotation]) // 0 without one
	if s.flag("verbose") {
		o.Trace = s.trace
	}
	s.Client, err = apiclient.New(o)
	return s, err
}

// patienceAnnotation is on commands that wait for a server longer than others.
const patienceAnnotation = "perdure patience"

const defaultServer = "http://127.0.0.1:8080"

// clientOptions are those of the configuration. What it leaves open is that of a "perdure dev" whose directory is here.
func clientOptions(c config.Config) (apiclient.Options, error) {
	o := apiclient.Options{URL: c.Client.URL, Key: c.Client.APIKey, UserAgent: "perdure/" + version()}
	dir := c.Data.Dir
	if dir == "" {
		dir = defaultDataDir
	}
	local, err := readLine(filepath.Join(dir, urlFile))
	if err != nil {
		return o, err
	}
	// A directory may have come with somebody's repository, and keys and prompts are not for whomever it names.
	if !onThisMachine(local) {
		local = ""
	}
	if o.URL == "" {
		o.URL = cmp.Or(local, defaultServer)
	}
	// The key of the server here is for no other.
	if o.Key.IsZero() && local != "" && strings.TrimRight(o.URL, "/") == local {
		key, err := readLine(filepath.Join(dir, keyFile))
		if err != nil {
			return o, err
		}
		o.Key = secret.New(key)
	}
	return o, nil
}

// onThisMachine reports whether a URL has the address of a server on this machine, as "perdure dev" writes it: a number.
func onThisMachine(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return false
	}
	address = address.Unmap().WithZone("")
	if address.IsLoopback() || address.IsUnspecified() {
		return true
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap().WithZone("") == address
	})
}

// readLine returns what a file of one line has, and nothing for one that is not there.
func readLine(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(data)), err
}

// tellEvery is how often a command that waits says so.
const tellEvery = time.Minute

// waiting tells of a pause that is long enough to wonder.
func (s *session) waiting(reason error, pause time.Duration) {
	if s.pausing != nil {
		s.pausing(reason, pause)
	} else if text := s.pauseText(reason, pause); text != "" {
		s.note("%s", text)
	}
}

// pauseText is what to say of a pause; nothing if it is short, or was told of a moment ago.
func (s *session) pauseText(reason error, pause time.Duration) string {
	if !s.flag("verbose") && (pause < time.Second || time.Since(s.told) < tellEvery) {
		return ""
	}
	s.told = time.Now()
	return fmt.Sprintf("perdure: %v; trying again in %s", reason, pause.Round(100*time.Millisecond))
}

func (s *session) trace(a apiclient.Answer) {
	fmt.Fprintf(s.err, "perdure: %s %s: %d in %s (request %s)\n", a.Method, a.Path, a.Status, a.Took.Round(time.Millisecond), orDash(a.RequestID))
}

// ctx ends when the command is interrupted.
func (s *session) ctx() context.Context { return s.cmd.Context() }

// printJSON prints a value on one line.
func (s *session) printJSON(v any) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// note tells people something that is no result.
func (s *session) note(format string, args ...any) {
	fmt.Fprintf(s.err, format+"\n", args...)
}
