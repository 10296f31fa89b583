package responses_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readers are the methods by which decoders ask for members of an object, and how many of the first arguments are their names; -1 is all.
var readers = map[string]int{
	"take": 1, "require": 1, "string": 1, "optional": 1, "required": 1, "filled": 1, "label": 1, "word": 1, "wordRequired": 1, "schema": 1,
	"bool": 1, "trueUnlessFalse": 1, "requiredBool": 1, "falseOnly": 1, "int": 1, "float": 1, "strings": 1, "stringMap": 1, "only": 1,
	"ignore": -1, "unsupported": -1,
}

// literals returns the strings that stand in a file where pick says so.
func literals(t *testing.T, file string, pick func(ast.Node) []ast.Expr) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(tree, func(n ast.Node) bool {
		for _, e := range pick(n) {
			if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, text)
			}
		}
		return true
	})
	return found
}

// asked are the members that a call of a decoder asks for.
func asked(n ast.Node) []ast.Expr {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	switch names := readers[method.Sel.Name]; names {
	case -1:
		return call.Args
	default:
		return call.Args[:min(names, len(call.Args))]
	}
}

// errorTypes are the values of the constants that begin with Err.
func errorTypes(n ast.Node) []ast.Expr {
	if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Err") {
		return spec.Values
	}
	return nil
}

// setting is a key of the configuration, which may have the name of a member: limits.max_steps says nothing of max_steps.
var setting = regexp.MustCompile("^`(api|batches|events|files|http|limits|models|network)[.]")

// words are those that stand as code in a section of docs/api.md, but for keys of the configuration.
func words(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/api.md has no %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var found []string
	for _, code := range regexp.MustCompile("`[^`\n]+`").FindAllString(text, -1) {
		if !setting.MatchString(code) {
			found = append(found, regexp.MustCompile(`[A-Za-z_]+`).FindAllString(code, -1)...)
		}
	}
	return found
}

// wantDocumented wants names in a section of docs/api.md.
func wantDocumented(t *testing.T, heading string, names []string) {
	t.Helper()
	documented := words(t, heading)
	for _, name := range names {
		if !slices.Contains(documented, name) {
			t.Errorf("the code knows %q, and %q in docs/api.md does not have it", name, heading)
		}
	}
}

// TestMembersAreDocumented: docs/api.md says of each member of a request what it does, or that it is ignored or refused.
func TestMembersAreDocumented(t *testing.T) {
	t.Parallel()
	var members []string
	for _, file := range []string{"decode.go", "decode_create.go", "decode_tool.go"} {
		members = append(members, literals(t, file, asked)...)
	}
	// What finds nothing checks nothing.
	if !slices.Contains(members, "max_output_tokens") || !slices.Contains(members, "tunnel_id") || len(members) < 80 {
		t.Fatalf("found %q", members)
	}
	wantDocumented(t, "## Requests", members)
}

// TestItemsAreDocumented: docs/api.md names each type of item that a request may bring.
func TestItemsAreDocumented(t *testing.T) {
	t.Parallel()
	types := literals(t, "item.go", func(n ast.Node) []ast.Expr {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Type") {
			return spec.Values
		}
		return nil
	})
	if len(types) < 10 {
		t.Fatalf("found %q", types)
	}
	wantDocumented(t, "## Requests", types)
}

// TestErrorsAreDocumented: docs/api.md has each type of error.
func TestErrorsAreDocumented(t *testing.T) {
	t.Parallel()
	types := literals(t, "error.go", errorTypes)
	if len(types) < 10 {
		t.Fatalf("found %q", types)
	}
	wantDocumented(t, "## Errors", types)
}
