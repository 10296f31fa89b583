package model_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"perdure/internal/model"
	"perdure/internal/responses"
)

var validName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$`)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		functions    []string
		server, tool string
		want         string // a plain name, or the beginning of a hashed one when it ends in "…"
	}{
		{nil, "github", "list_issues", "github__list_issues"},
		{nil, "github", "_private", "github___private"},
		{nil, "git-hub", "list-issues", "git-hub__list-issues"},
		{nil, "github", "issues.list", "github__issues_list_…"},
		{nil, "github", "größe", "github__gr__e_…"},
		{nil, "a_label_of_more_than_twenty", "t", "a_label_of_more_than__t_…"},
		{nil, "github", strings.Repeat("t", 128), "github__" + strings.Repeat("t", 47) + "_…"},
		{nil, "1st", "t", "_1st__t_…"},
		{nil, "-", "t", "_-__t_…"},
		{nil, "a__b", "c", "a__b__c_…"}, // else the same as tool b__c of server a
		{nil, "a_", "b", "a___b_…"},     // else the same as tool _b of server a
		{nil, "a", "b_ABCDEFGH", "a__b_ABCDEFGH_…"},
		{[]string{"github__list_issues"}, "github", "list_issues", "github__list_issues_…"},
		{nil, "", "my_function", "my_function"},
		{nil, "", "1st-function", "1st-function"}, // a function's name is the client's
		{nil, "", "replayed function", "replayed_function_…"},
	} {
		ref := responses.ToolRef{Server: test.server, Name: test.tool}
		names := model.NewNames(test.functions, []responses.ToolRef{ref})
		got := names.For(ref)
		head, hashed := strings.CutSuffix(test.want, "…")
		if hashed && (len(got) != len(head)+8 || !strings.HasPrefix(got, head)) || !hashed && got != test.want {
			t.Errorf("%s/%s is %q, want %q", test.server, test.tool, got, test.want)
		}
		if unoffered := model.NewNames(test.functions, nil).For(ref); unoffered != got {
			t.Errorf("%s/%s is %q when it is not offered, want %q", test.server, test.tool, unoffered, got)
		}
	}
}

func TestNamesResolveOnlyWhatIsOffered(t *testing.T) {
	t.Parallel()
	tool := responses.ToolRef{Server: "github", Name: "search"}
	names := model.NewNames([]string{"github__search", "f"}, []responses.ToolRef{tool})
	if got, ok := names.Resolve("github__search"); !ok || got != (responses.ToolRef{Name: "github__search"}) {
		t.Errorf("the function's name resolves to %v, %v", got, ok)
	}
	if got, ok := names.Resolve(names.For(tool)); !ok || got != tool {
		t.Errorf("the tool's name resolves to %v, %v", got, ok)
	}
	if _, ok := names.Resolve("github__other"); ok {
		t.Error("a name that was not offered resolves")
	}
	if _, ok := (&model.Names{}).Resolve("f"); ok {
		t.Error("the zero value resolves a name")
	}
}

// FuzzNames reads a list of tools and functions from text: a line "server/tool" each, or a line without a slash for a function.
func FuzzNames(f *testing.F) {
	f.Add("github/list_issues\ngit_hub/x\nlist\ngithub__list_issues")
	f.Add("a__b/c\na/b__c\na_/b\na/_b\na/b_ABCDEFGH")
	f.Add("long_label_that_is_cut_1/t\nlong_label_that_is_cut_2/t\nx/" + strings.Repeat("y", 100))
	f.Add("é/ö\n\xff/\xfe\n/\n1/1\n-/-")
	f.Fuzz(func(t *testing.T, text string) {
		var functions []string
		var refs []responses.ToolRef
		for line := range strings.SplitSeq(text, "\n") {
			server, tool, ok := strings.Cut(line, "/")
			switch {
			case ok && server != "":
				refs = append(refs, responses.ToolRef{Server: server, Name: tool})
			case regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`).MatchString(line):
				functions = append(functions, line)
			}
		}
		names := model.NewNames(functions, refs)
		owner := map[string]responses.ToolRef{}
		for _, name := range functions {
			if got := names.For(responses.ToolRef{Name: name}); got != name {
				t.Fatalf("the function %q is called %q", name, got)
			}
			owner[name] = responses.ToolRef{Name: name}
		}
		for _, ref := range refs {
			name := names.For(ref)
			if !validName.MatchString(name) {
				t.Fatalf("%q is called %q, which is not valid", ref, name)
			}
			if other, ok := owner[name]; ok && other != ref {
				t.Fatalf("%q and %q are both called %q", ref, other, name)
			}
			owner[name] = ref
			if got, ok := names.Resolve(name); !ok || got != ref {
				t.Fatalf("%q resolves to %q, want %q", name, got, ref)
			}
		}
		slices.Reverse(functions)
		slices.Reverse(refs)
		reversed := model.NewNames(functions, refs)
		for _, ref := range refs {
			if a, b := names.For(ref), reversed.For(ref); a != b {
				t.Fatalf("%q is called %q or %q, depending on the order", ref, a, b)
			}
			if alone := model.NewNames(functions, nil).For(ref); alone != names.For(ref) {
				t.Fatalf("%q is called %q, but %q when it is not offered", ref, names.For(ref), alone)
			}
		}
	})
}
