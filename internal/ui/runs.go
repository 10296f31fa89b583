package ui

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"perdure/internal/identity"
	"perdure/internal/page"
	"perdure/internal/responses"
	"perdure/starter"
)

const runsPath = "/runs"

// runsPage is how many runs a page of the list has.
const runsPage = 30

// runsContent is the list of runs.
type runsContent struct {
	Filter   runsFilter
	Filtered bool
	Rows     []runRow
	// Address is where the rows are refreshed from, First that of the first page, and Next that of the next one; Next is empty on the last.
	Address, First, Next string
	Later                bool // the page is not the first
	Models               []string
	// Every is the time between two refreshes, in ms.
	Every int
	Now   time.Time
}

type runRow struct {
	starter.RunRow
	Status mark
	// Took is how long the run took, or takes so far.
	Took time.Duration
}

// runsFilter is what the form above the list was sent with.
type runsFilter struct {
	Status, Model, Server, User string
	// Batch is the ID of a batch, whose page leads here.
	Batch string
	// Since is one of the spans of [spans]. After is the moment that it stood for when the first page was shown, so that later pages belong
	// to it: seconds since 1970.
	Since, After, Page string
}

type span struct {
	Name, Text string
	length     time.Duration
}

var spans = []span{
	{"", "Any time", 0},
	{"1h", "Last hour", time.Hour},
	{"24h", "Last 24 hours", 24 * time.Hour},
	{"7d", "Last 7 days", 7 * 24 * time.Hour},
	{"30d", "Last 30 days", 30 * 24 * time.Hour},
}

// Spans are the times that a list can be narrowed to.
func (runsContent) Spans() []span { return spans }

// Statuses are those that a list can be narrowed to.
func (runsContent) Statuses() []mark {
	return []mark{
		statusMark(responses.ResponseQueued), statusMark(responses.ResponseInProgress), statusMark(responses.ResponseCompleted),
		statusMark(responses.ResponseIncomplete), statusMark(responses.ResponseFailed), statusMark(responses.ResponseCancelled),
	}
}

func readRunsFilter(q url.Values) runsFilter {
	return runsFilter{
		Status: q.Get("status"), Model: q.Get("model"), Server: q.Get("server"), User: q.Get("user"), Batch: q.Get("batch"),
		Since: q.Get("since"), After: q.Get("after"), Page: q.Get("page"),
	}
}

// address is the list narrowed by the filter.
func (f runsFilter) address() string {
	q := url.Values{}
	for name, value := range map[string]string{
		"status": f.Status, "model": f.Model, "server": f.Server, "user": f.User, "batch": f.Batch, "since": f.Since, "after": f.After, "page": f.Page,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return runsPath
	}
	return runsPath + "?" + q.Encode()
}

// query is the filter in the API's terms. A later page needs the moment of the first.
func (f *runsFilter) query(now time.Time) (starter.RunFilter, error) {
	query := starter.RunFilter{Status: f.Status, Model: f.Model, Server: f.Server, User: f.User, Batch: f.Batch, Page: f.Page, Limit: runsPage}
	var length time.Duration
	known := false
	for _, s := range spans {
		if s.Name == f.Since {
			length, known = s.length, true
		}
	}
	switch {
	case !known:
		return query, responses.Invalid("since", "must be one of the times that the form offers")
	case f.Page != "" && f.After != "":
		seconds, err := strconv.ParseInt(f.After, 10, 64)
		if err != nil {
			return query, responses.Invalid("after", "must be a time in seconds since 1970")
		}
		query.After = time.Unix(seconds, 0)
	case length > 0:
		query.After = now.Add(-length).Truncate(time.Second)
		f.After = strconv.FormatInt(query.After.Unix(), 10)
	}
	return query, nil
}

// Times between two looks at what goes on, in ms.
const (
	refreshRuns = 2500
	refreshRun  = 1000
)

// listRuns shows the runs of the organization.
func (u *ui) listRuns(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	filter := readRunsFilter(r.URL.Query())
	now := time.Now()
	query, err := filter.query(now)
	if err != nil {
		return err
	}
	list, err := u.api.Runs(r.Context(), who, query)
	if err != nil {
		return err
	}
	first := filter
	first.Page, first.After = "", ""
	content := runsContent{
		Filter: filter, Filtered: first != (runsFilter{}), Address: r.URL.RequestURI(), First: first.address(), Later: filter.Page != "",
		Every: refreshRuns, Now: now,
	}
	for _, row := range list.Runs {
		ended := row.Ended
		if ended.IsZero() {
			ended = now
		}
		content.Rows = append(content.Rows, runRow{RunRow: row, Status: statusMark(row.Status), Took: ended.Sub(row.Created)})
	}
	if list.Next != "" {
		next := filter
		next.Page = list.Next
		content.Next = next.address()
	}
	if isPart(r) {
		return pages.RenderPart(w, "runs", "rows", content)
	}
	for _, ref := range u.api.Catalog.Models() {
		content.Models = append(content.Models, ref.String())
	}
	f := u.frame(w, r, who, "Runs", runsPath, content)
	f.Styles, f.Scripts = []string{"runs.css"}, []string{"live.js"}
	return u.show(w, "runs", f)
}

// cancelRun asks a run to end.
func (u *ui) cancelRun(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	if err := u.api.StopRun(r, who, id); err != nil {
		return err
	}
	return seeOther(w, r, runPath(id), "The run was asked to end.")
}

// confirmDeletion asks before a run is deleted.
func (u *ui) confirmDeletion(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id := r.PathValue("id")
	run, err := u.api.Run(r.Context(), who, id)
	if err != nil {
		return err
	}
	return u.show(w, "run_delete", u.frame(w, r, who, "Delete this run?", runsPath, run))
}

// deleteRun removes a run.
func (u *ui) deleteRun(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	if err := u.api.DeleteRun(r, who, r.PathValue("id")); err != nil {
		return err
	}
	return seeOther(w, r, runsPath, "The run was deleted.")
}

// runJSON shows a response as the API has it.
func (u *ui) runJSON(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	wire, err := u.api.RunJSON(r, who, r.PathValue("id"))
	if err != nil {
		return err
	}
	return page.WriteFile(w, "application/json", "", wire)
}

// stepContent hands out the whole of what a step got or gave.
func (u *ui) stepContent(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	id, part := r.PathValue("id"), r.PathValue("part")
	event, err := strconv.ParseInt(r.PathValue("event"), 10, 64)
	if err != nil || event < 1 {
		return responses.Invalid("event", "must be the number of a step of this run")
	}
	text, cut, err := u.api.StepContent(r.Context(), who, id, r.PathValue("execution"), event, part)
	if err != nil {
		return err
	}
	if cut {
		text += "\n[cut here: it is longer than what is handed out]\n"
	}
	return page.WriteFile(w, "text/plain; charset=utf-8", "step-"+strconv.FormatInt(event, 10)+"-"+part+".txt", []byte(text))
}

func runPath(id string) string { return runsPath + "/" + url.PathEscape(id) }
