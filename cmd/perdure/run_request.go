package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"perdure/internal/responses"
	"perdure/internal/secret"
	"perdure/internal/terminal"
)

// maxPrompt is the largest prompt that is read: bytes. Servers take bodies of 32 MiB.
const maxPrompt = 31 << 20

// runOptions are the flags of a run.
type runOptions struct {
	files        []string
	model        string
	instructions string
	previous     string
	conversation string
	maxSteps     int
	maxTokens    int
	effort       string
	metadata     map[string]string

	mcp            []string
	connectors     []string
	tools          []string
	authorizations []string
	headers        []string
	yes            bool

	background, detach, events, quiet bool
}

func (o *runOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "file", "f", nil, "`FILE` whose text is added to the prompt; - is standard input; may be repeated")
	f.StringVarP(&o.model, "model", "m", "", "`MODEL` to ask, provider/model (default: the server's)")
	f.StringVarP(&o.instructions, "instructions", "i", "", "`TEXT` that the model is to obey")
	f.StringVar(&o.previous, "previous", "", "`ID` of a response to go on with")
	f.StringVar(&o.conversation, "conversation", "", "`ID` of a conversation to go on with and to add to")
	f.IntVar(&o.maxSteps, "max-steps", 0, "largest `NUMBER` of model turns (default: the server's)")
	f.IntVar(&o.maxTokens, "max-output-tokens", 0, "largest `NUMBER` of tokens of the answer")
	f.StringVar(&o.effort, "effort", "", "how much the model should think, `EFFORT`: none, minimal, low, medium, high or xhigh")
	f.StringToStringVar(&o.metadata, "metadata", nil, "`KEY=VALUE` to keep with the response; may be repeated")
	f.StringArrayVar(&o.mcp, "mcp", nil, "`LABEL=URL` of an MCP server whose tools the model may call; may be repeated")
	f.StringArrayVar(&o.connectors, "connector", nil, "`NAME` or ID of a saved connector, or LABEL=NAME; may be repeated")
	f.StringArrayVar(&o.tools, "tool", nil, "`LABEL:NAME` of a tool that may be called, of a server whose other tools may not then; may be repeated")
	f.StringArrayVar(&o.authorizations, "authorization", nil, "token for a server of --mcp, `LABEL=env:VARIABLE` or LABEL=file:PATH")
	f.StringArrayVar(&o.headers, "header", nil, "header for a server of --mcp, `LABEL:NAME=env:VARIABLE` or LABEL:NAME=file:PATH")
	f.BoolVarP(&o.yes, "yes", "y", false, "approve all calls of tools")
	f.BoolVar(&o.background, "background", false, "let the run go on when this command is interrupted, and give way to those that somebody waits for")
	f.BoolVarP(&o.detach, "detach", "d", false, "print the response's ID and do not wait; implies --background")
	f.BoolVar(&o.events, "events", false, "print every event of the stream as it comes, one JSON value on a line")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print the answer only")
	cmd.MarkFlagsMutuallyExclusive("previous", "conversation")
	cmd.MarkFlagsMutuallyExclusive("detach", "events")
	register(cmd, "model", completeModels)
	register(cmd, "previous", completeResponses(nil))
	register(cmd, "connector", completeConnectors)
	registerWords(cmd, "effort", "none", "minimal", "low", "medium", "high", "xhigh")
	for _, flag := range []string{"instructions", "conversation", "mcp", "tool", "authorization", "header", "metadata", "max-steps", "max-output-tokens"} {
		register(cmd, flag, noFiles)
	}
}

// runBody is a request for a run.
type runBody struct {
	Model           string            `json:"model,omitempty"`
	Input           any               `json:"input"`
	Instructions    string            `json:"instructions,omitempty"`
	Previous        string            `json:"previous_response_id,omitempty"`
	Conversation    string            `json:"conversation,omitempty"`
	MaxSteps        int               `json:"max_steps,omitempty"`
	MaxOutputTokens int               `json:"max_output_tokens,omitempty"`
	Reasoning       *runReasoning     `json:"reasoning,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	Tools           []*runTool        `json:"tools,omitempty"`
	Background      bool              `json:"background,omitempty"`
	Stream          bool              `json:"stream,omitempty"`
}

type runReasoning struct {
	Effort  string `json:"effort"`
	Summary string `json:"summary"`
}

// runTool is an MCP server. What is secret in it goes nowhere but into the request.
type runTool struct {
	Type            string            `json:"type"`
	ServerLabel     string            `json:"server_label"`
	ServerURL       string            `json:"server_url,omitempty"`
	ConnectorID     string            `json:"connector_id,omitempty"`
	Authorization   string            `json:"authorization,omitempty"`
	Headers         map[string]string `json:"headers,omitempty"`
	AllowedTools    []string          `json:"allowed_tools,omitempty"`
	RequireApproval string            `json:"require_approval,omitempty"`
}

// request builds the request that the flags describe.
func (o *runOptions) request(s *session, args []string) (*runBody, error) {
	prompt, err := o.prompt(s, args)
	if err != nil {
		return nil, err
	}
	o.background = o.background || o.detach
	body := &runBody{
		Model: o.model, Input: prompt, Instructions: o.instructions, Previous: o.previous, Conversation: o.conversation,
		MaxSteps: o.maxSteps, MaxOutputTokens: o.maxTokens, Metadata: o.metadata, Background: o.background, Stream: !o.detach,
	}
	if o.effort != "" {
		body.Reasoning = &runReasoning{Effort: o.effort, Summary: "auto"}
	}
	body.Tools, err = o.servers(s)
	return body, err
}

// goOn turns the request into one that answers what a response has asked.
func (b *runBody) goOn(id string, answers []responses.Item) {
	b.Input = answers
	if b.Conversation == "" {
		b.Previous = id
	}
}

// prompt is what the model is asked: the argument and the files, or else standard input.
func (o *runOptions) prompt(s *session, args []string) (string, error) {
	var parts []string
	if len(args) == 1 && args[0] != "-" {
		parts = append(parts, args[0])
	}
	files := o.files
	if len(parts) == 0 && len(files) == 0 {
		if len(args) == 0 && terminal.IsTerminal(s.cmd.InOrStdin()) {
			return "", usageError(`there is no prompt: perdure run "PROMPT", or --file FILE, or send it to standard input`)
		}
		files = []string{"-"}
	}
	size := 0
	for _, name := range files {
		text, err := s.readPrompt(name)
		if err != nil {
			return "", err
		}
		if size += len(text); size > maxPrompt {
			return "", fmt.Errorf("the prompt is larger than the %d MiB that servers take", maxPrompt>>20)
		}
		parts = append(parts, text)
	}
	prompt := strings.Join(parts, "\n\n")
	if strings.TrimSpace(prompt) == "" {
		return "", usageError("the prompt is empty")
	}
	return prompt, nil
}

// readPrompt reads a file, or standard input, beside ctx: a read from a pipe that nobody writes to cannot be interrupted.
func (s *session) readPrompt(name string) (string, error) {
	in := s.cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	type content struct {
		data []byte
		err  error
	}
	read := make(chan content, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(in, maxPrompt+1))
		read <- content{data, err}
	}()
	select {
	case <-s.ctx().Done():
		return "", s.ctx().Err()
	case c := <-read:
		return strings.TrimRight(string(c.data), "\r\n"), c.err
	}
}

// servers are the MCP servers of the flags.
func (o *runOptions) servers(s *session) ([]*runTool, error) {
	var tools []*runTool
	for _, given := range o.mcp {
		label, url, ok := strings.Cut(given, "=")
		if !ok || label == "" || url == "" {
			// It is not repeated: what is not a label and a URL may be a secret.
			return nil, usageError("--mcp must be LABEL=URL, such as wiki=https://mcp.deepwiki.com/mcp")
		}
		tools = append(tools, &runTool{Type: "mcp", ServerLabel: label, ServerURL: url})
	}
	for _, given := range o.connectors {
		tool, err := s.savedServer(given)
		if err != nil {
			return nil, err
		}
		tools = append(tools, tool)
	}
	byLabel := map[string]*runTool{}
	for _, tool := range tools {
		if byLabel[tool.ServerLabel] != nil {
			return nil, usageError("two servers have the label %q: give one of them another with LABEL=…", tool.ServerLabel)
		}
		byLabel[tool.ServerLabel] = tool
		if o.yes {
			tool.RequireApproval = responses.ApproveNever
		}
	}
	for _, given := range o.tools {
		label, name, ok := strings.Cut(given, ":")
		tool := byLabel[label]
		if !ok || name == "" || tool == nil {
			return nil, usageError("--tool %q must be LABEL:NAME with the label of a server: %s", given, labels(tools))
		}
		tool.AllowedTools = append(tool.AllowedTools, name)
	}
	return tools, errors.Join(o.authorize(byLabel), o.addHeaders(byLabel))
}

func labels(tools []*runTool) string {
	if len(tools) == 0 {
		return "there is none, name one with --mcp or --connector"
	}
	var all []string
	for _, tool := range tools {
		all = append(all, tool.ServerLabel)
	}
	return strings.Join(all, ", ")
}

// authorize reads the tokens of servers.
func (o *runOptions) authorize(byLabel map[string]*runTool) error {
	for _, given := range o.authorizations {
		label, source, _ := strings.Cut(given, "=")
		tool := byLabel[label]
		if tool == nil || tool.ConnectorID != "" {
			return usageError("--authorization must be LABEL=env:VARIABLE or LABEL=file:PATH, with the label of a server of --mcp")
		}
		token, err := readSecret("--authorization", source)
		if err != nil {
			return err
		}
		tool.Authorization = token.Reveal()
	}
	return nil
}

func (o *runOptions) addHeaders(byLabel map[string]*runTool) error {
	for _, given := range o.headers {
		label, rest, _ := strings.Cut(given, ":")
		name, source, ok := strings.Cut(rest, "=")
		tool := byLabel[label]
		if !ok || name == "" || tool == nil || tool.ConnectorID != "" {
			return usageError("--header must be LABEL:NAME=env:VARIABLE or LABEL:NAME=file:PATH, with the label of a server of --mcp")
		}
		value, err := readSecret("--header", source)
		if err != nil {
			return err
		}
		if tool.Headers == nil {
			tool.Headers = map[string]string{}
		}
		tool.Headers[name] = value.Reveal()
	}
	return nil
}

// maxSecret is the largest secret that is read from a file: bytes.
const maxSecret = 64 << 10

// readSecret reads what a flag names, env:VARIABLE or file:PATH: a value on the command line would be in the list of processes, and in the
// history of the shell.
func readSecret(flag, source string) (secret.String, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch {
	case kind == "env" && name != "":
		value := os.Getenv(name)
		if value == "" {
			return secret.String{}, fmt.Errorf("%s: the environment variable is not set, or empty", flag)
		}
		return secret.New(value), nil
	case kind == "file" && name != "":
		file, err := os.Open(name)
		if err != nil {
			return secret.String{}, fmt.Errorf("%s: %w", flag, err)
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
		value := strings.TrimRight(string(data), "\r\n")
		switch {
		case err != nil:
			return secret.String{}, fmt.Errorf("%s: %w", flag, err)
		case value == "" || len(data) > maxSecret:
			return secret.String{}, fmt.Errorf("%s: %s is empty, or larger than %d KiB", flag, name, maxSecret>>10)
		}
		return secret.New(value), nil
	default:
		return secret.String{}, usageError("%s: a secret is given as env:VARIABLE or file:PATH, not itself", flag)
	}
}
