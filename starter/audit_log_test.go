package starter

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAuditLogFilters(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	path := organizationPath + "/audit_log"
	m.as(t, "ann", http.MethodPost, organizationPath+"/members", `{"id":"carl"}`).want(t, http.StatusOK)
	m.as(t, "amy", http.MethodPost, organizationPath+"/members/carl", `{"role":"admin"}`).want(t, http.StatusOK)
	hour := time.Now().Add(time.Hour).Unix()
	for query, want := range map[string]string{
		"action=member.&target=carl":                              "member.role member.add",
		"action=member.role":                                      "member.role",
		"user=ann&target=carl":                                    "member.add",
		"target=carl&user=nobody":                                 "",
		fmt.Sprintf("target=carl&created_after=%d", hour):         "",
		fmt.Sprintf("user=amy&created_before=%d", hour):           "member.role",
		"target=carl&created_after=0&created_before=4102444800":   "member.role member.add",
		"target=carl&action=member.add&limit=1&created_before=1":  "",
		"action=member.&target=carl&user=amy&created_after=10000": "member.role",
	} {
		var actions []string
		for _, e := range decoded[listOf[shownEvent]](t, m.as(t, "ann", http.MethodGet, path+"?"+query, "")).Data {
			actions = append(actions, e.Action)
		}
		if got := strings.Join(actions, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	m.as(t, "ann", http.MethodGet, path+"?created_after=yesterday", "").want(t, http.StatusBadRequest, `"param":"created_after"`)
	m.as(t, "ann", http.MethodGet, path+"?actor=ann", "").want(t, http.StatusBadRequest, "created_before")
	m.as(t, "bob", http.MethodGet, path+"?user=bob", "").want(t, http.StatusForbidden)
}
