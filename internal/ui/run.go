package ui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/starter"
)

// runContent is the page of a run.
type runContent struct {
	*starter.RunShown
	Status mark
	// Title is the beginning of what the run was asked.
	Title    string
	Timeline *starter.Timeline
	Groups   []stepGroup
	Overview overview
	Tokens   *responses.Usage
	Input    []said
	Output   []said
	// Before and After are how many items came before those of Input and Output that are shown.
	InputBefore, OutputBefore int
	Earlier, Later            string // addresses of the steps before and after; empty where there are none
	Address                   string // from which the page is refreshed; empty for one that does not change any more
	Every                     int
	Curl                      string
	CurlNotes                 []string
	TemporalURL               string
	Now                       time.Time
}

// said is an item of a conversation as a person reads it.
type said struct {
	Who  string
	Kind string // message, reasoning, or note
	Text string
	Cut  bool
}

// Took is how long the run took, or takes so far.
func (c *runContent) Took() time.Duration {
	if c.Ended.IsZero() {
		return max(c.Now.Sub(c.Created), 0)
	}
	return c.Ended.Sub(c.Created)
}

// Path is that of the run's page.
func (c *runContent) Path() string { return runPath(c.ID) }

// showRun shows a run.
func (u *ui) showRun(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	query := r.URL.Query()
	at, err := readTimelinePage(query)
	if err != nil {
		return err
	}
	if known := query.Get("version"); known != "" && isPart(r) {
		now, err := u.api.TimelineVersion(r.Context(), who, id)
		if err != nil {
			return err
		}
		if now == known {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	// The steps come first: a run that has ended by then has its output.
	timeline, err := u.api.Timeline(r.Context(), who, id, at)
	if err != nil {
		return err
	}
	run, err := u.api.Run(r.Context(), who, id)
	if err != nil {
		return err
	}
	content := u.newRun(r, run)
	content.fillTimeline(timeline, query)
	if isPart(r) {
		return pages.RenderPart(w, "run", "run", content)
	}
	f := u.frame(w, r, who, page.Foreign(content.Title), runsPath, content)
	f.Styles, f.Scripts = []string{"stream.css", "runs.css"}, []string{"stream.js", "live.js"}
	return u.show(w, "run", f)
}

func readTimelinePage(q url.Values) (starter.TimelinePage, error) {
	at := starter.TimelinePage{Execution: q.Get("execution")}
	if from := q.Get("from"); from != "" {
		n, err := strconv.Atoi(from)
		if err != nil || n < -1 {
			return at, responses.Invalid("from", "must be the position of a step, or -1 for the last ones")
		}
		at.From = n
	}
	return at, nil
}

// newRun is the page but for its timeline.
func (u *ui) newRun(r *http.Request, run *starter.RunShown) *runContent {
	c := &runContent{RunShown: run, Status: statusMark(run.Status), Title: "Run", Now: time.Now(), Every: refreshRun, Tokens: run.Usage}
	if title := titleOf(run.Input); title != "" {
		c.Title = title
	}
	c.Input, c.Output = spoken(run.Input), spoken(run.Output)
	c.InputBefore, c.OutputBefore = run.InputLen-len(run.Input), run.OutputLen-len(run.Output)
	if u.TemporalUI != "" {
		c.TemporalURL = strings.TrimSuffix(u.TemporalUI, "/") + "/namespaces/" + url.PathEscape(u.Namespace) + "/workflows/" + url.PathEscape(run.ID)
	}
	if run.Request != nil {
		c.Curl, c.CurlNotes = curlOf(u.api.Origin(r), run)
	}
	return c
}

// fillTimeline adds what follows from the timeline.
func (c *runContent) fillTimeline(t *starter.Timeline, query url.Values) {
	c.Timeline, c.Groups, c.Overview = t, newGroups(c.ID, t, c.Created, c.Now), newOverview(t, c.Now)
	if t.Running || c.Running {
		query.Set("version", t.Version)
		c.Address = c.Path() + "?" + query.Encode()
	}
	if c.Tokens == nil {
		c.Tokens = tokensSoFar(t)
	}
	at := func(execution string, from int) string {
		return c.Path() + "?" + url.Values{"execution": {execution}, "from": {strconv.Itoa(from)}}.Encode() + "#timeline"
	}
	switch {
	case t.From > 0:
		c.Earlier = at(t.Execution, max(t.From-starter.TimelineSteps, 0))
	case t.Earlier != "":
		c.Earlier = at(t.Earlier, -1)
	}
	switch {
	case t.From+len(t.Steps) < t.Total:
		c.Later = at(t.Execution, t.From+len(t.Steps))
	case t.Later != "":
		c.Later = at(t.Later, 0)
	}
}

// tokensSoFar counts those of the turns of a timeline that has all of them.
func tokensSoFar(t *starter.Timeline) *responses.Usage {
	if t.From > 0 || t.Earlier != "" {
		return nil
	}
	var sum responses.Usage
	for _, s := range t.Steps {
		if s.Usage != nil {
			sum.Add(*s.Usage)
		}
	}
	return &sum
}
