package starter

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"perdure/internal/responses"
)

// bounded is a starter whose conversations may have 64 KiB, with runs that say "ok", and another one whose memory can be looked at.
func bounded(t *testing.T) (s *Starter, url string) {
	t.Helper()
	r := serve(t, saying("ok"), func(o *Options) { o.Limits.Run.ConversationBytes, o.Limits.BodyMemory = 64<<10, 1<<20 })
	s = newStarter(t.Context(), t.Context(), r.options)
	return s, handlers(t, s.routes()).URL + "/v1/responses"
}

// allGiven wants all memory to have been given back.
func allGiven(t *testing.T, s *Starter) {
	t.Helper()
	share := s.Limits.BodyMemory / 2
	eventually(t, "all memory is given back", func() bool {
		if s.gates.bodies.Take(alice.Account(), share) != nil {
			return false
		}
		s.gates.bodies.Give(alice.Account(), share)
		return true
	})
}

// invalid wants a 400 that names the place and says all of the texts.
func invalid(t *testing.T, a answer, param string, texts ...string) {
	t.Helper()
	shown := a.failed(t)
	if a.status != http.StatusBadRequest || shown.Param != param {
		t.Errorf("HTTP %d at %q, want 400 at %q: %s", a.status, shown.Param, param, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(shown.Message, text) {
			t.Errorf("the message lacks %q: %s", text, shown.Message)
		}
	}
}

// A reference of a few bytes stands for an item of any size: a request with many of them is as large as what they stand for.
func TestReferencesCountInFull(t *testing.T) {
	t.Parallel()
	s, url := bounded(t)
	first := as(t, apiKey, http.MethodPost, url, `{"input":"`+strings.Repeat("x", 20<<10)+`"}`).response(t).ID
	reference := fmt.Sprintf(`{"type":"item_reference","id":%q}`, responses.InputItemID(responses.TypeMessage, first, 0))
	refer := func(n int, rest string) answer {
		return as(t, apiKey, http.MethodPost, url, `{"input":[`+strings.Repeat(reference+",", n-1)+reference+`]`+rest+`}`)
	}
	if got := refer(3, "").response(t); got.Status != responses.ResponseCompleted {
		t.Errorf("status %s", got.Status)
	}
	invalid(t, refer(300, ""), "input[3].id", "more than 65536 bytes", "limits.conversation_bytes", "refer to fewer items")
	// What it goes on with counts, too.
	invalid(t, refer(3, `,"previous_response_id":"`+first+`"`), "input[2].id", "refer to fewer items")
	allGiven(t, s)
}

func TestInputThatIsTooLong(t *testing.T) {
	t.Parallel()
	s, url := bounded(t)
	invalid(t, as(t, apiKey, http.MethodPost, url, `{"input":"`+strings.Repeat("x", 65<<10)+`"}`), "input", "limits.conversation_bytes", "shorter items")
	allGiven(t, s)
}

// A chain of responses grows with each link, up to a limit, and what is too long then can be made short.
func TestChainThatIsTooLong(t *testing.T) {
	t.Parallel()
	s, url := bounded(t)
	goOn := func(previous string) answer {
		return as(t, apiKey, http.MethodPost, url, `{"input":"`+strings.Repeat("x", 25<<10)+`"`+previous+`}`)
	}
	previous := ""
	for range 2 {
		previous = `,"previous_response_id":"` + goOn(previous).response(t).ID + `"`
	}
	invalid(t, goOn(previous), "previous_response_id", "limits.conversation_bytes", "/v1/responses/compact")
	if a := as(t, apiKey, http.MethodPost, url+"/compact", `{"model":"p/m"`+previous+`}`); a.status != http.StatusOK {
		t.Errorf("compact: HTTP %d with %s", a.status, a.body)
	}
	if got := as(t, apiKey, http.MethodPost, url, `{"input":"brief"`+previous+`}`).response(t); got.Status != responses.ResponseCompleted {
		t.Errorf("status %s", got.Status)
	}
	allGiven(t, s)
}

// What is read of a response takes memory, as the body of a request does. What is larger than the share of a key can be read alone.
func TestMemoryOfWhatIsRead(t *testing.T) {
	t.Parallel()
	r := serve(t, saying(strings.Repeat("y", 20<<10)), func(o *Options) { o.Limits.BodyMemory = 32 << 10 })
	s := newStarter(t.Context(), t.Context(), r.options)
	url := handlers(t, s.routes()).URL + "/v1/responses"
	id := as(t, apiKey, http.MethodPost, url, hello).response(t).ID
	read := func(path string) answer { return as(t, apiKey, http.MethodGet, url+"/"+id+path, "") }
	allGiven(t, s)
	for _, path := range []string{"", "/input_items"} {
		if a := read(path); a.status != http.StatusOK {
			t.Errorf("%s: HTTP %d with %s", path, a.status, a.body)
		}
		allGiven(t, s)
		if err := s.gates.bodies.Take(alice.Account(), 16<<10); err != nil {
			t.Fatal(err)
		}
		refused(t, read(path), http.StatusTooManyRequests, "read at the same time")
		s.gates.bodies.Give(alice.Account(), 16<<10)
	}
	allGiven(t, s)
}

// Items that were added are never answered with a refusal, which clients take for "nothing was done": they would add them again.
func TestAddedItemsAreNotRefused(t *testing.T) {
	t.Parallel()
	r := serveConversations(t, func(o *Options) { o.Limits.BodyMemory = 64 << 10 })
	s := newStarter(t.Context(), t.Context(), r.options)
	url := handlers(t, s.routes()).URL + "/v1/conversations"
	id := decoded[struct{ ID string }](t, as(t, apiKey, http.MethodPost, url, "{}")).ID
	allGiven(t, s)
	// The share of a key is 32 KiB: enough for what others read and for the body, and not for the items beside it.
	if err := s.gates.bodies.Take(alice.Account(), 16<<10); err != nil {
		t.Fatal(err)
	}
	items := `{"items":[{"type":"message","role":"user","content":"` + strings.Repeat("x", 10<<10) + `"}]}`
	if a := as(t, apiKey, http.MethodPost, url+"/"+id+"/items", items); a.status != http.StatusOK {
		t.Errorf("HTTP %d with %s", a.status, a.body)
	}
	s.gates.bodies.Give(alice.Account(), 16<<10)
	allGiven(t, s)
}
