package ui

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/internal/snippet"
	"perdure/starter"
)

const playPath = "/playground"

// playRoutes are the playground's.
func (u *ui) playRoutes(handle func(pattern string, h starter.PageHandler)) {
	handle("GET "+playPath, u.playground)
	handle("POST "+playPath, u.play)
	handle("GET "+playPath+"/runs/{id}/events", u.runEvents)
	handle("POST "+playPath+"/runs/{id}/stop", u.stopPlay)
}

// playContent is what the page shows.
type playContent struct {
	Form                   *playForm
	Models                 []string
	DefaultModel           string
	Efforts                []string
	MaxSteps, MaxStepsMost int
	HasApprovals           bool
	Examples               []playExample // only where there is nothing else to show
	Notes                  []string
	Exchange               *playExchange
	Code                   *playCode
	// Blank is a server for a script to copy.
	Blank playServer
}

// playCode is the request as code.
type playCode struct {
	Snippets []snippet.Snippet
	Envs     []snippet.Env
	Problem  string
}

var playEfforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// playground shows the form: empty, as an example, as an earlier run was asked ("from"), or to go on with one ("previous").
func (u *ui) playground(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	f := newPlayForm()
	c := u.playContent(f)
	connectors, err := u.playConnectors(r, who)
	if err != nil {
		c.Notes = append(c.Notes, "Saved connectors cannot be shown: "+u.api.ErrorOf(w, r, err).Message+".")
	}
	f.Connectors = connectors
	query := r.URL.Query()
	status := http.StatusOK
	switch from, previous := query.Get("from"), query.Get("previous"); {
	case from != "" || previous != "":
		response, input, err := u.api.AskedRun(r.Context(), who, cmp.Or(previous, from))
		switch {
		case err != nil:
			shown := u.api.ErrorOf(w, r, err)
			status = shown.Status
			f.Errors[""] = shown.Message
		case previous != "":
			c.Notes = append(c.Notes, f.goOn(response)...)
			c.Exchange = newPlayExchange(response, input)
		default:
			c.Notes = append(c.Notes, f.repeat(response, input)...)
			u.showFailure(f, response)
		}
	default:
		examples := u.playExamples()
		if n, err := strconv.Atoi(query.Get("example")); err == nil && n >= 0 && n < len(examples) {
			examples[n].fill(f)
		} else {
			c.Examples = examples
		}
	}
	return u.showPlayground(w, r, who, status, c)
}

// showFailure says at the field that it is about why the earlier run failed.
func (u *ui) showFailure(f *playForm, r *responses.Response) {
	if r.Error == nil {
		return
	}
	if b, err := f.request(u.api.HasApprovals()); err == nil {
		f.fail(b, &responses.Error{Message: r.Error.Message, Param: r.Error.Param})
	}
}

func (u *ui) playContent(f *playForm) *playContent {
	c := &playContent{
		Form: f, Efforts: playEfforts, HasApprovals: u.api.HasApprovals(),
		MaxSteps: u.api.Limits.MaxSteps, MaxStepsMost: u.api.Limits.MaxStepsCap, Blank: playServer{Index: maxPlayIndex},
	}
	for _, m := range u.api.Catalog.Models() {
		c.Models = append(c.Models, m.String())
	}
	if m, err := u.api.Catalog.Resolve(""); err == nil {
		c.DefaultModel = m.String()
	}
	return c
}

func (u *ui) showPlayground(w http.ResponseWriter, r *http.Request, who identity.Principal, status int, c *playContent) error {
	c.Form.forgetSecrets()
	if c.Form.Model == "" {
		c.Form.Model = c.DefaultModel
	}
	frame := u.frame(w, r, who, "Playground", playPath, c)
	frame.Styles = []string{"stream.css", "playground.css"}
	frame.Scripts = []string{"playground.js"}
	return pages.Render(w, status, "playground", frame)
}

// play does what the button says with which the form was sent. A script is answered in JSON, a browser with a page.
func (u *ui) play(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	in, done, err := u.api.ReadForm(w, r, who)
	if err != nil {
		return u.playFailed(w, r, err)
	}
	defer done()
	connectors, err := u.playConnectors(r, who)
	if err != nil {
		return u.playFailed(w, r, err)
	}
	f := parsePlayForm(in, connectors)
	c := u.playContent(f)
	action := in.Get("action")
	switch {
	case action == "code":
		c.Code = u.playCode(r, f)
		if isPart(r) {
			return pages.RenderPart(w, "playground", "code", c.Code)
		}
	case action == "add-server":
		f.addServer()
	case strings.HasPrefix(action, "remove-server-"):
		if n, err := strconv.Atoi(strings.TrimPrefix(action, "remove-server-")); err == nil {
			f.removeServer(n)
		}
	default:
		return u.startPlay(w, r, who, c)
	}
	u.exchangeOf(r, who, c)
	return u.showPlayground(w, r, who, http.StatusOK, c)
}

// exchangeOf shows again what the form goes on with. Without it the form is good as well.
func (u *ui) exchangeOf(r *http.Request, who identity.Principal, c *playContent) {
	if c.Form.Previous == "" {
		return
	}
	if response, input, err := u.api.AskedRun(r.Context(), who, c.Form.Previous); err == nil {
		c.Exchange = newPlayExchange(response, input)
	}
}

// playStarted is what a script is told of a run that has begun.
type playStarted struct {
	ID     string            `json:"id"`
	Events string            `json:"events"`
	Stop   string            `json:"stop"`
	Page   string            `json:"page"`   // of the run; empty: it is not stored
	Again  string            `json:"again"`  // the playground that goes on with the run
	Labels map[string]string `json:"labels"` // the fields of servers by their labels
	Nonce  string            `json:"nonce"`  // of the next form
}

func (u *ui) startPlay(w http.ResponseWriter, r *http.Request, who identity.Principal, c *playContent) error {
	f := c.Form
	b, err := f.request(c.HasApprovals)
	switch {
	case err != nil:
	case strings.TrimSpace(f.Prompt) == "" && len(f.Decisions) == 0:
		err = responses.Invalid("input", "write what the model is to do")
	case !wantsJSON(r) && !f.Store:
		err = responses.Invalid("store", "without a script in the browser, the answer can only be shown if it is stored")
	}
	var started *responses.Response
	if err == nil {
		started, err = u.api.StartRun(w, r, who, b.json(), f.Nonce)
	}
	if err != nil {
		shown := u.api.ErrorOf(w, r, err)
		field := f.fail(b, shown)
		if wantsJSON(r) {
			return writePlayJSON(w, shown.Status, map[string]any{"error": shown, "field": field})
		}
		u.exchangeOf(r, who, c)
		return u.showPlayground(w, r, who, shown.Status, c)
	}
	run := "/runs/" + started.ID
	if !wantsJSON(r) {
		http.Redirect(w, r, run, http.StatusSeeOther)
		return nil
	}
	out := playStarted{
		ID: started.ID, Events: playPath + run + "/events", Stop: playPath + run + "/stop", Page: run,
		Again: playPath + "?" + url.Values{"previous": {started.ID}}.Encode(), Labels: b.labels, Nonce: newPlayForm().Nonce,
	}
	if !f.Store {
		out.Page = ""
	}
	return writePlayJSON(w, http.StatusOK, out)
}

// playCode writes the code of a form. A form that is not finished has code as well: it is what the person has so far.
func (u *ui) playCode(r *http.Request, f *playForm) *playCode {
	if f.Model == "" {
		if m, err := u.api.Catalog.Resolve(""); err == nil {
			f.Model = m.String()
		}
	}
	f.standIn()
	b, err := f.request(u.api.HasApprovals())
	if err != nil {
		return &playCode{Problem: err.Error()}
	}
	request := snippet.Request{Origin: u.api.Origin(r), Body: b.body}
	return &playCode{Snippets: snippet.All(request), Envs: request.Envs()}
}

// playFailed answers what went wrong before there was a form.
func (u *ui) playFailed(w http.ResponseWriter, r *http.Request, err error) error {
	if !wantsJSON(r) {
		return err
	}
	shown := u.api.ErrorOf(w, r, err)
	return writePlayJSON(w, shown.Status, map[string]any{"error": shown, "field": ""})
}

// runEvents answers a script with the events of a run.
func (u *ui) runEvents(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	return u.api.FollowRun(w, r, who, r.PathValue("id"))
}

// stopPlay ends a run. What it has come to so far is in its events.
func (u *ui) stopPlay(w http.ResponseWriter, r *http.Request, who identity.Principal) error {
	err := u.api.StopRun(r, who, r.PathValue("id"))
	if !wantsJSON(r) {
		if err != nil {
			return err
		}
		return seeOther(w, r, playPath+"?"+url.Values{"previous": {r.PathValue("id")}}.Encode(), "The run was asked to stop.")
	}
	if err != nil {
		shown := u.api.ErrorOf(w, r, err)
		return writePlayJSON(w, shown.Status, map[string]any{"error": shown})
	}
	return writePlayJSON(w, http.StatusOK, map[string]any{"id": r.PathValue("id")})
}

// wantsJSON reports whether a script of ours asks.
func wantsJSON(r *http.Request) bool { return r.Header.Get("Accept") == "application/json" }

func writePlayJSON(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return errors.Join(errors.New("playground: an answer cannot be written"), err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}
