package starter

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"perdure/activities"
	"perdure/internal/identity"
	"perdure/internal/responses"
	"perdure/workflows"
)

// bobsKey is the key of another user of alice's organization.
const bobsKey = "pd_key_of_bob"

// tenants are what alice has, and those who ask after it.
type tenants struct {
	*rig
	// done is a response that has ended, running one that has not; item is the one item of the conversation.
	done, running, conversation, item string
	schedule                          string
}

func newTenants(t *testing.T, dialect responses.Dialect) *tenants {
	t.Helper()
	organization := "acme-" + uuid.NewString() // so that its lists are short
	x := &tenants{rig: serve(t, nil, func(o *Options) {
		o.Dialect = dialect
		o.Keys = must(identity.NewKeyring(map[identity.KeyHash]identity.Principal{
			identity.HashKey(apiKey):  {Organization: organization, User: alice.User, Key: "laptop", Scopes: identity.AllScopes},
			identity.HashKey(bobsKey): {Organization: organization, User: "bob", Key: "bob", Scopes: identity.AllScopes},
			// The user has the same name, and the key almost.
			identity.HashKey(otherKey): {Organization: organization + "-2", User: alice.User, Key: "laptop-2", Scopes: identity.AllScopes},
		}))
	})}
	w := sdkworker.New(x.temporal, x.options.TaskQueue, sdkworker.Options{})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, in workflows.ResponseInput) (workflows.Outcome, error) {
		if in.Background {
			return waiting(ctx, in)
		}
		return saying("good morning")(ctx, in)
	}, workflow.RegisterOptions{Name: workflows.ResponseName})
	w.RegisterWorkflowWithOptions(workflows.Conversation, workflow.RegisterOptions{Name: workflows.ConversationName})
	steps := activities.Activities{Options: activities.Options{Blobs: x.options.Blobs}}
	w.RegisterActivityWithOptions(steps.ConversationAppend, activity.RegisterOptions{Name: activities.ConversationAppendName})
	w.RegisterActivityWithOptions(steps.ConversationDeleteItem, activity.RegisterOptions{Name: activities.ConversationDeleteItemName})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	x.done = x.create(t, `{"input":"alice's own words"}`).response(t).ID
	x.running = x.create(t, `{"input":"alice's own words","background":true}`).response(t).ID
	x.conversation = decoded[struct{ ID string }](t, x.ask(t, apiKey, http.MethodPost, "",
		`{"items":[{"role":"user","content":"alice's own words"}]}`)).ID
	x.schedule = decoded[struct{ ID string }](t, as(t, apiKey, http.MethodPost, x.url+schedulesPath,
		`{"interval":86400,"paused":true,"request":{"input":"alice's own words"}}`)).ID
	x.item = decoded[shownItems](t, x.ask(t, apiKey, http.MethodGet, "/"+x.conversation+"/items", "")).Data[0].ID
	return x
}

// stranger sends a request with the key of another organization.
func (x *tenants) stranger(t *testing.T, method, path, body string) answer {
	t.Helper()
	return as(t, otherKey, method, x.url+path, body)
}

// unique is what makes an ID that of one response or conversation, and of the items of it.
var unique = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// hidden wants a request with an ID of alice's to be answered, letter by letter, as one with an ID that nobody has. Each %s of path and
// body is the ID.
func (x *tenants) hidden(t *testing.T, status int, method, path, body string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		ask := func(id string) answer {
			return x.stranger(t, method, strings.ReplaceAll(path, "%s", id), strings.ReplaceAll(body, "%s", id))
		}
		nobodys := unique.ReplaceAllString(id, uuid.NewString())
		got, want := ask(id), ask(nobodys)
		if got.status != status || want.status != status || got.body != strings.ReplaceAll(want.body, nobodys, id) {
			t.Errorf("%s %s with an ID of alice's: HTTP %d with %s\nwith one that nobody has: HTTP %d with %s",
				method, path, got.status, got.body, want.status, want.body)
		}
		for _, a := range []answer{got, want} {
			a.header.Del("Date")
			a.header.Del(requestIDHeader)
		}
		if fmt.Sprint(got.header) != fmt.Sprint(want.header) {
			t.Errorf("%s %s: headers %v, want %v", method, path, got.header, want.header)
		}
	}
}

// traces is what Temporal has of what is alice's: the states and the numbers of events.
func (x *tenants) traces(t *testing.T) string {
	t.Helper()
	var out []string
	for _, id := range []string{x.done, x.running, x.conversation, workflows.DeletionID(x.done), workflows.DeletionID(x.conversation)} {
		d, err := x.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		if hasEnded(err) {
			out = append(out, "none")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		info := d.GetWorkflowExecutionInfo()
		if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING || id == x.running {
			out = append(out, fmt.Sprint(info.GetStatus(), info.GetHistoryLength()))
			continue
		}
		// What a conversation is asked leaves events of workflow tasks, not of what it has.
		out = append(out, as(t, apiKey, http.MethodGet, x.url+"/v1/conversations/"+id, "").body,
			as(t, apiKey, http.MethodGet, x.url+"/v1/conversations/"+id+"/items", "").body)
	}
	d, err := x.temporal.ScheduleClient().GetHandle(t.Context(), x.schedule).Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, fmt.Sprintf("%+v %d", *d.Schedule.State, d.Info.NumActions))
	return strings.Join(out, "\n")
}

// TestTenants: whatever a stranger asks, what is alice's is to him as if it were not there, and is afterwards as it was before.
func TestTenants(t *testing.T) {
	t.Parallel()
	for _, dialect := range []responses.Dialect{responses.DialectAgent, responses.DialectOpenAI} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			x := newTenants(t, dialect)
			before := x.traces(t)
			cases := x.cases()
			for pattern, run := range cases {
				t.Run(pattern, run)
			}
			if after := x.traces(t); after != before {
				t.Errorf("after:\n%s\nbefore:\n%s", after, before)
			}
			for _, id := range []string{x.done, x.running} {
				if got := as(t, apiKey, http.MethodGet, x.url+"/v1/responses/"+id, "").response(t); got.ID != id {
					t.Errorf("alice gets %s, want %s", got.ID, id)
				}
			}
			var patterns []string
			(&Starter{}).tenantRoutes(func(pattern string, _ http.Handler) { patterns = append(patterns, pattern) })
			slices.Sort(patterns)
			if known := slices.Sorted(maps.Keys(cases)); !slices.Equal(known, patterns) {
				t.Errorf("there are cases for %q, want one for each of %q", known, patterns)
			}
		})
	}
}

// cases has what a stranger tries, for each route.
func (x *tenants) cases() map[string]func(*testing.T) {
	cases := map[string]func(*testing.T){
		"POST /v1/conversations": func(t *testing.T) {
			mine := decoded[struct{ ID string }](t, x.stranger(t, http.MethodPost, "/v1/conversations", "")).ID
			if a := x.ask(t, apiKey, http.MethodGet, "/"+mine, ""); a.status != http.StatusNotFound {
				t.Errorf("alice sees what is not hers: HTTP %d with %s", a.status, a.body)
			}
		},
	}
	for _, base := range []string{"/v1/responses", agentPath} {
		x.responseCases(base, cases)
	}
	x.scheduleCases(cases)
	for pattern, body := range map[string]string{
		"GET /v1/conversations/{id}": "", "POST /v1/conversations/{id}": `{"metadata":{"of":"eve"}}`, "DELETE /v1/conversations/{id}": "",
		"GET /v1/conversations/{id}/items": "", "POST /v1/conversations/{id}/items": `{"items":[{"role":"user","content":"of eve"}]}`,
		"GET /v1/conversations/{id}/items/{item}": "", "DELETE /v1/conversations/{id}/items/{item}": "",
	} {
		cases[pattern] = func(t *testing.T) {
			method, path, _ := strings.Cut(pattern, " ")
			path = strings.NewReplacer("{id}", "%s", "{item}", x.item).Replace(path)
			x.hidden(t, http.StatusNotFound, method, path, body, x.conversation)
		}
	}
	return cases
}

func (x *tenants) scheduleCases(cases map[string]func(*testing.T)) {
	const one = schedulesPath + "/{id}"
	for _, pattern := range []string{
		"GET " + one, "PATCH " + one, "DELETE " + one, "POST " + one + "/pause", "POST " + one + "/resume", "POST " + one + "/trigger",
	} {
		cases[pattern] = func(t *testing.T) {
			method, path, _ := strings.Cut(pattern, " ")
			x.hidden(t, http.StatusNotFound, method, strings.ReplaceAll(path, "{id}", "%s"), `{}`, x.schedule)
		}
	}
	cases["GET "+schedulesPath] = func(t *testing.T) {
		eventually(t, "alice's schedule is in her list", func() bool {
			return strings.Contains(as(t, apiKey, http.MethodGet, x.url+schedulesPath, "").body, x.schedule)
		})
		if a := x.stranger(t, http.MethodGet, schedulesPath, ""); a.status != http.StatusOK || strings.Contains(a.body, x.schedule) {
			t.Errorf("HTTP %d with %s", a.status, a.body)
		}
	}
	cases["POST "+schedulesPath] = func(t *testing.T) {
		key, body := uuid.NewString(), `{"interval":86400,"paused":true,"request":{"input":"x"}}`
		mine := decoded[struct{ ID string }](t, as(t, apiKey, http.MethodPost, x.url+schedulesPath, body, "Idempotency-Key", key)).ID
		eves := decoded[struct{ ID string }](t, as(t, otherKey, http.MethodPost, x.url+schedulesPath, body, "Idempotency-Key", key)).ID
		if mine == eves {
			t.Error("an Idempotency-Key gives another's schedule")
		}
		if a := as(t, apiKey, http.MethodGet, x.url+schedulesPath+"/"+eves, ""); a.status != http.StatusNotFound {
			t.Errorf("alice sees what is not hers: HTTP %d with %s", a.status, a.body)
		}
	}
}

func (x *tenants) responseCases(base string, cases map[string]func(*testing.T)) {
	references := func(t *testing.T, path string) {
		x.hidden(t, http.StatusBadRequest, http.MethodPost, path, `{"model":"p/m","input":"x","previous_response_id":"%s"}`, x.done, x.running)
		x.hidden(t, http.StatusBadRequest, http.MethodPost, path,
			`{"model":"p/m","input":[{"role":"user","content":"x"},{"type":"item_reference","id":"%s"}]}`,
			responses.ItemID(responses.TypeMessage, x.done, 0))
	}
	cases["POST "+base] = func(t *testing.T) {
		references(t, base)
		x.hidden(t, http.StatusNotFound, http.MethodPost, base, `{"input":"x","conversation":"%s"}`, x.conversation)
		x.keysOfRequests(t, base)
	}
	cases["POST "+base+"/input_tokens"] = func(t *testing.T) {
		references(t, base+"/input_tokens")
		x.hidden(t, http.StatusNotFound, http.MethodPost, base+"/input_tokens", `{"input":"x","conversation":"%s"}`, x.conversation)
	}
	cases["POST "+base+"/compact"] = func(t *testing.T) { references(t, base+"/compact") }
	cases["GET "+base] = func(t *testing.T) {
		eventually(t, "alice's responses are in lists", func() bool {
			a := as(t, apiKey, http.MethodGet, x.url+base, "")
			return strings.Contains(a.body, x.done) && strings.Contains(a.body, x.running)
		})
		for _, query := range []string{"", "?user=alice", "?model=p/m", "?status=in_progress", "?limit=100"} {
			a := x.stranger(t, http.MethodGet, base+query, "")
			if a.status != http.StatusOK || strings.Contains(a.body, x.done) || strings.Contains(a.body, x.running) {
				t.Errorf("%s: HTTP %d with %s", query, a.status, a.body)
			}
		}
		// Where the next page begins is of no use to another.
		page := decoded[struct {
			NextPage string `json:"next_page"`
		}](t, as(t, apiKey, http.MethodGet, x.url+base+"?limit=1", "")).NextPage
		if a := x.stranger(t, http.MethodGet, base+"?limit=1&page="+page, ""); page == "" || a.status != http.StatusBadRequest {
			t.Errorf("the page %q: HTTP %d with %s", page, a.status, a.body)
		}
		x.socket(t, base)
	}
	x.byID(base, cases)
}

func (x *tenants) byID(base string, cases map[string]func(*testing.T)) {
	one := func(method, rest string, queries ...string) {
		cases[method+" "+base+"/{id}"+rest] = func(t *testing.T) {
			for _, query := range append(queries, "") {
				x.hidden(t, http.StatusNotFound, method, base+"/%s"+rest+query, "", x.done, x.running)
			}
		}
	}
	one(http.MethodGet, "", "?stream=true", "?stream=true&starting_after=0")
	one(http.MethodDelete, "")
	one(http.MethodPost, "/cancel")
	one(http.MethodGet, "/input_items", "?order=asc")
}

// keysOfRequests: an Idempotency-Key is the key of an organization's user. To anybody else it is as good as new.
func (x *tenants) keysOfRequests(t *testing.T, base string) {
	t.Helper()
	key := uuid.NewString()
	first := as(t, apiKey, http.MethodPost, x.url+base, hello, "Idempotency-Key", key).response(t).ID
	if again := as(t, apiKey, http.MethodPost, x.url+base, hello, "Idempotency-Key", key).response(t).ID; again != first {
		t.Errorf("the same request again is %s, want %s", again, first)
	}
	for _, other := range []string{otherKey, bobsKey} {
		for _, body := range []string{hello, `{"input":"something else"}`} {
			a := as(t, other, http.MethodPost, x.url+base, body, "Idempotency-Key", key)
			if body != hello {
				if a.status != http.StatusConflict {
					t.Errorf("HTTP %d with %s, want a conflict with the own request", a.status, a.body)
				}
			} else if got := a.response(t).ID; got == first {
				t.Error("an Idempotency-Key gives another's response")
			}
		}
	}
}

// socket: what cannot be seen over HTTP cannot be seen over a WebSocket.
func (x *tenants) socket(t *testing.T, base string) {
	t.Helper()
	c := dialSocketAs(t, x.url+base, otherKey)
	for _, id := range []string{x.done, x.running, "resp_" + uuid.NewString()} {
		e := c.turn(`{"type":"response.create","input":"x","previous_response_id":"` + id + `"}`)[0]
		if e.Status != http.StatusBadRequest || e.Error.Message != "Previous response with id '"+id+"' not found." {
			t.Errorf("%+v", e)
		}
	}
	e := c.turn(`{"type":"response.create","input":"x","conversation":"` + x.conversation + `"}`)[0]
	if e.Status != http.StatusNotFound || e.Error.Message != "Conversation with id '"+x.conversation+"' not found." {
		t.Errorf("%+v", e)
	}
}

// What is stored belongs to the organization: its users see each other's responses and conversations.
func TestUsersOfAnOrganization(t *testing.T) {
	t.Parallel()
	x := newTenants(t, responses.DialectAgent)
	for _, path := range []string{
		"/v1/responses/" + x.done, "/v1/responses/" + x.done + "/input_items", "/v1/agent/" + x.running,
		"/v1/conversations/" + x.conversation, "/v1/conversations/" + x.conversation + "/items/" + x.item,
	} {
		if a := as(t, bobsKey, http.MethodGet, x.url+path, ""); a.status != http.StatusOK {
			t.Errorf("%s: HTTP %d with %s", path, a.status, a.body)
		}
	}
	a := as(t, bobsKey, http.MethodPost, x.url+"/v1/responses", `{"input":"and then?","previous_response_id":"`+x.done+`"}`)
	next := a.response(t).ID
	eventually(t, "bob's list has alice's responses, and alice's list bob's", func() bool {
		bobs := as(t, bobsKey, http.MethodGet, x.url+"/v1/responses?user=alice", "").body
		alices := as(t, apiKey, http.MethodGet, x.url+"/v1/responses?user=bob", "").body
		lists := func(list, id string) bool { return strings.Contains(list, `"id":"`+id+`"`) }
		return lists(bobs, x.done) && !lists(bobs, next) && lists(alices, next) && !lists(alices, x.done)
	})
	if a := as(t, bobsKey, http.MethodDelete, x.url+"/v1/responses/"+x.done, ""); a.status != http.StatusOK {
		t.Errorf("HTTP %d with %s", a.status, a.body)
	}
}
