package demo

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// maxCreated bounds how many issues a tracker keeps.
const maxCreated = 1000

const (
	stateOpen   = "OPEN"
	stateClosed = "CLOSED"
)

type issue struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	State  string `json:"state"`
	Body   string `json:"body,omitempty"`
}

// sampleIssues are in every repository.
func sampleIssues() []issue {
	return []issue{
		{1, "Add a getting-started guide", stateClosed, "Ten minutes from a clone to the first answer would be good."},
		{2, "Retry requests that fail with status 503", stateOpen, "Today the first 503 ends the whole run."},
		{3, "Document the authentication header", stateOpen, "The README does not say which header carries the access token."},
	}
}

// tracker keeps the issues that the demo's users create.
type tracker struct {
	mu      sync.Mutex
	created map[string][]issue // by the repository's lower-case name
	count   int
}

func (t *tracker) issues(r repo) []issue {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(sampleIssues(), t.created[strings.ToLower(r.String())]...)
}

func (t *tracker) listIssues(in listIssuesInput) (string, error) {
	r, err := in.parse()
	if err != nil {
		return "", err
	}
	issues := slices.DeleteFunc(t.issues(r), func(i issue) bool { return in.State != "" && i.State != in.State })
	if in.Direction != "ASC" {
		slices.Reverse(issues)
	}
	for i := range issues {
		issues[i].Body = "" // a list has titles; issue_read has the rest
	}
	return encode(struct {
		Issues []issue `json:"issues"`
		Total  int     `json:"totalCount"`
		Note   string  `json:"note"`
	}{issues, len(issues), sampleNote})
}

func (t *tracker) readIssue(in issueReadInput) (string, error) {
	r, err := in.parse()
	if err != nil {
		return "", err
	}
	issues := t.issues(r)
	if in.Number < 1 || in.Number > len(issues) {
		return "", fmt.Errorf("%s has no issue #%d; list_issues shows those that exist", r, in.Number)
	}
	if in.Method == "get_comments" {
		return encode(struct {
			Comments []string `json:"comments"`
			Note     string   `json:"note"`
		}{[]string{}, sampleNote})
	}
	return encode(struct {
		issue
		Note string `json:"note"`
	}{issues[in.Number-1], sampleNote})
}

func (t *tracker) createIssue(in createIssueInput) (string, error) {
	r, err := in.parse()
	if err != nil {
		return "", err
	}
	created, err := t.add(r, in.Title, in.Body)
	if err != nil {
		return "", err
	}
	return encode(struct {
		Number int    `json:"number"`
		Title  string `json:"title"`
		State  string `json:"state"`
		Note   string `json:"note"`
	}{created.Number, created.Title, created.State, "Kept by Perdure's demo server until it ends, not sent to GitHub"})
}

func (t *tracker) add(r repo, title, body string) (issue, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == maxCreated {
		return issue{}, fmt.Errorf("the demo server keeps at most %d issues; restart it to begin anew", maxCreated)
	}
	key := strings.ToLower(r.String())
	i := issue{Number: len(sampleIssues()) + len(t.created[key]) + 1, Title: title, State: stateOpen, Body: body}
	t.created[key] = append(t.created[key], i)
	t.count++
	return i, nil
}
