package ui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"perdure/internal/identity"
	"perdure/internal/store"
)

// TestAuditWords: whoever adds an action to the audit log says it in words, too.
func TestAuditWords(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../store/audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	actions := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Act") || len(spec.Values) != 1 {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		actions++
		if auditWords[value] == "" {
			t.Errorf("auditWords has no words for %s (%s)", value, spec.Names[0].Name)
		}
		kind := kindOf(value) + "."
		listed := false
		for _, k := range auditKinds {
			listed = listed || k.Value == kind
		}
		if !listed || !action.MatchString(value) || !action.MatchString(kind) {
			t.Errorf("the filter of the audit log cannot be set to %s", kind)
		}
		return true
	})
	if actions < 20 || actions != len(auditWords) {
		t.Errorf("there are %d actions, and words for %d", actions, len(auditWords))
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	by := identity.Actor{User: "ann"}
	for _, tt := range []struct {
		event      identity.Event
		name, want string
	}{
		{identity.Event{Action: store.ActKeyCreate, Target: "key_1", Detail: map[string]string{"user": "bob"}}, "laptop", "made the API key [laptop] for [bob]"},
		{identity.Event{Action: store.ActKeyRevoke, Target: "key_1"}, "", "revoked the API key [key_1]"},
		{identity.Event{Action: store.ActMemberRole, Target: "bob", Detail: map[string]string{"role": "admin"}}, "", "made [bob] an admin"},
		{identity.Event{Action: store.ActSessionEnd, Target: "ann"}, "", "signed out"},
		{identity.Event{Action: store.ActSessionEnd, Target: "bob"}, "", "signed [bob] out"},
		{identity.Event{Action: store.ActGrantCreate, Target: "conn_1"}, "", "authorized the connector [conn_1] for somebody"},
		{identity.Event{Action: "later.release", Target: "x{it}"}, "", "later.release [x{it}]"},
	} {
		tt.event.Actor = by
		var got strings.Builder
		for _, p := range sentenceOf(tt.event, tt.name) {
			if p.Named {
				got.WriteString("[" + p.Text + "]")
			} else {
				got.WriteString(p.Text)
			}
		}
		if got.String() != tt.want {
			t.Errorf("%s: %q, want %q", tt.event.Action, got.String(), tt.want)
		}
	}
}
