package perdure_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const modulePath = "perdure"

// source is what the rules need to know of a Go file. Files are parsed, not loaded, so that those of other platforms and build
// tags count as well.
type source struct {
	path    string
	pkg     string
	doc     bool
	inits   bool
	imports []string
	lines   int
}

func (s source) folder() string { return path.Dir(s.path) }

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// readTree reads all Go files but those that the go command passes over.
func readTree(fsys fs.FS) ([]source, error) {
	var tree []source
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			hidden := len(base) > 1 && (base[0] == '.' || base[0] == '_')
			if hidden || base == "testdata" || base == "node_modules" || name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(base) != ".go" {
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		s, err := parse(name, data)
		tree = append(tree, s)
		return err
	})
	return tree, err
}

func parse(name string, data []byte) (source, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{path: name, pkg: f.Name.Name, doc: f.Doc.Text() != "", lines: strings.Count(string(data), "\n")}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, imported)
	}
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			s.inits = true
		}
	}
	return s, nil
}

// violations returns what breaks the rules, each with its place and the rule.
func violations(tree []source) []string {
	var found []string
	report := func(place, format string, args ...any) {
		found = append(found, place+": "+fmt.Sprintf(format, args...))
	}
	folders := map[string][]source{}
	for _, s := range tree {
		folders[s.folder()] = append(folders[s.folder()], s)
		checkFile(s, report)
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		checkFolder(folder, folders[folder], report)
	}
	for _, folder := range slices.Sorted(maps.Keys(allowed)) {
		if !slices.ContainsFunc(folders[folder], func(s source) bool { return !s.test() }) {
			report("arch_test.go", "allowed has an entry for %s, which has no code", folder)
		}
	}
	return found
}

type reporter func(place, format string, args ...any)

func checkFile(s source, report reporter) {
	if s.lines > maxLines {
		report(s.path, "has %d lines, more than %d", s.lines, maxLines)
	}
	if s.inits {
		report(s.path, "has an init function: say what happens in a constructor")
	}
	if name := strings.TrimSuffix(path.Base(s.path), ".go"); slices.Contains(vague, name) {
		report(s.path, "its name says nothing: name it after what is inside")
	}
	for _, imported := range s.imports {
		checkOwner(s, imported, report)
		ours, ok := strings.CutPrefix(imported, modulePath+"/")
		switch {
		case s.test():
		case ok:
			if !mayImport(s.folder(), ours) {
				report(s.path, "imports %s, which arch_test.go does not allow", imported)
			}
		case imported == "testing" && !slices.Contains(testingAllowed, s.folder()):
			report(s.path, "imports testing outside a test")
		case s.folder() == "workflows" && slices.Contains(impure, imported):
			report(s.path, "imports %s: a replay would differ", imported)
		case s.folder() == "internal/responses" && strings.Contains(imported, "."):
			report(s.path, "imports %s: the wire types need the standard library only", imported)
		}
	}
}

func checkOwner(s source, imported string, report reporter) {
	for _, o := range owned {
		owns := func(place string) bool { return below(s.path, place) }
		if below(imported, o.imported) && !slices.ContainsFunc(o.by, owns) {
			report(s.path, "imports %s, which only %s may: %s", imported, strings.Join(o.by, ", "), o.why)
		}
	}
}

func mayImport(folder, ours string) bool {
	list := allowed[folder]
	if slices.Contains(list, ours) {
		return true
	}
	return slices.Contains(list, anything) && !strings.HasSuffix(ours, "test")
}

func below(name, place string) bool { return name == place || strings.HasPrefix(name, place+"/") }

func checkFolder(folder string, files []source, report reporter) {
	for element := range strings.SplitSeq(folder, "/") {
		if slices.Contains(vague, element) {
			report(folder, "its name says nothing: name it after what is inside")
		}
	}
	production := slices.DeleteFunc(slices.Clone(files), source.test)
	described := production
	if len(production) == 0 {
		described = files
	} else if _, ok := allowed[folder]; !ok {
		report(folder, "is not in arch_test.go: say there what it may import")
	}
	var docs []string
	for _, s := range files {
		if s.doc {
			docs = append(docs, s.path)
		}
	}
	if len(docs) != 1 || !slices.ContainsFunc(described, func(s source) bool { return s.path == docs[0] }) {
		report(folder, "has package comments in [%s], want exactly one", strings.Join(docs, " "))
		return
	}
	if len(production) == 0 {
		return
	}
	if name := path.Base(docs[0]); name != "doc.go" && name != "main.go" && name != path.Base(folder)+".go" {
		report(docs[0], "has the package comment, which belongs into doc.go or %s.go", path.Base(folder))
	}
}

// unexplained returns the modules that a go.mod requires directly and that the text does not have as `code`.
func unexplained(goMod, text string) []string {
	var modules []string
	for line := range strings.Lines(goMod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		direct := len(fields) == 2 && strings.HasPrefix(fields[1], "v") && strings.Contains(fields[0], ".")
		if direct && !strings.Contains(text, "`"+fields[0]+"`") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}

// section returns what stands below a heading of Markdown, up to the next one of its level; "" where there is no such heading.
func section(text, heading string) string {
	_, below, _ := strings.Cut(text, "\n"+heading+"\n")
	level, _, _ := strings.Cut(heading, " ")
	below, _, _ = strings.Cut(below, "\n"+level+" ")
	return below
}

func TestSection(t *testing.T) {
	t.Parallel()
	const text = "# Page\n\n## One\n\nfirst\n\n### Deeper\n\nsecond\n\n## Two\n\nthird\n"
	for heading, want := range map[string]string{"## One": "\nfirst\n\n### Deeper\n\nsecond\n", "## Two": "\nthird\n", "## Three": "", "## On": ""} {
		if got := section(text, heading); got != want {
			t.Errorf("%s: %q, want %q", heading, got, want)
		}
	}
}

func TestUnexplained(t *testing.T) {
	t.Parallel()
	const goMod = "module perdure\n\ngo 1.26.0\n\nrequire example.com/one v1.0.0\n\n" +
		"require (\n\texample.com/two v1.0.0\n\texample.com/three v1.0.0\n\texample.com/deep v1.0.0 // indirect\n)\n"
	got := unexplained(goMod, "`example.com/three` and example.com/two, not as code")
	if diff := cmp.Diff([]string{"example.com/one", "example.com/two"}, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

// TestChecker shows that each rule can fail: a small tree that breaks it, and the one complaint.
func TestChecker(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, text string
		want             []string
	}{
		{"nothing wrong", "worker/loop.go", `import "perdure/workflows"`, nil},
		{"test", "worker/worker_test.go", `import ("perdure/starter"; "testing"; "perdure/internal/mcptest")`, nil},
		{"direction", "worker/loop.go", `import "perdure/starter"`, []string{"worker/loop.go: imports perdure/starter, which"}},
		{"new package", "internal/new/new.go", "", []string{"internal/new: is not in arch_test.go"}},
		{"double in production", "cmd/perdure/dev.go", `import "perdure/internal/mcptest"`, []string{"cmd/perdure/dev.go: imports perdure/internal/mcptest"}},
		{"owner file", "config/env.go", `import "github.com/spf13/viper"`, []string{"config/env.go: imports github.com/spf13/viper, which only config/load.go may"}},
		{"owner's own", "config/load.go", `import "github.com/spf13/viper"`, nil},
		{"owner in a test", "starter/a_test.go", `import "github.com/sashabaranov/go-openai/jsonschema"`, []string{"starter/a_test.go: imports github.com/sashabaranov/go-openai/jsonschema"}},
		{"name that only begins alike", "starter/a.go", `import "github.com/spf13/viperish"`, nil},
		{"server", "worker/loop.go", `import "go.temporal.io/server/temporal"`, []string{"worker/loop.go: imports go.temporal.io/server/temporal"}},
		{"other module", "devserver/a.go", `import "go.temporal.io/server/temporal"`, nil},
		{"workflow with a clock of its own", "workflows/a.go", `import "math/rand"`, []string{"workflows/a.go: imports math/rand: a replay"}},
		{"workflow's test", "workflows/a_test.go", `import "os"`, nil},
		{"wire types", "internal/responses/a.go", `import "github.com/google/uuid"`, []string{"internal/responses/a.go: imports github.com/google/uuid: the wire"}},
		{"testing", "internal/mcptest/a.go", `import "testing"`, []string{"internal/mcptest/a.go: imports testing"}},
		{"testing where allowed", "internal/temporaldev/temporaldevtest/a.go", `import "testing"`, nil},
		{"long file", "worker/loop.go", strings.Repeat("\n", 501), []string{"worker/loop.go: has 50"}},
		{"init", "worker/loop.go", "func init() {}", []string{"worker/loop.go: has an init"}},
		{"method named init", "worker/loop.go", "type t int; func (t) init() {}", nil},
		{"vague file", "worker/helpers.go", "", []string{"worker/helpers.go: its name"}},
		{"vague folder", "internal/util/util.go", "", []string{"internal/util/util.go: its name", "internal/util: its name", "internal/util: is not in"}},
		{"build tag", "worker/other.go", `import "perdure/config"`, []string{"worker/other.go: imports perdure/config"}},
		{"passed over", "worker/testdata/a.go", `import "perdure/config"`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fsys := cleanTree()
			clean := len(fsys)
			text := "package p\n" + test.text
			if strings.HasSuffix(test.file, "/other.go") {
				text = "//go:build plan9\n\n" + text
			}
			folder := path.Dir(test.file)
			if doc := folder + "/doc.go"; fsys[doc] == nil && !strings.Contains(folder, "testdata") {
				fsys[doc] = &fstest.MapFile{Data: []byte("// Package p is here.\npackage p\n")}
			}
			fsys[test.file] = &fstest.MapFile{Data: []byte(text)}
			if len(fsys) == clean {
				t.Fatal("the test adds nothing")
			}
			wantViolations(t, fsys, test.want)
		})
	}
}

// TestCheckerOfFolders is for rules about what a folder must have.
func TestCheckerOfFolders(t *testing.T) {
	t.Parallel()
	const documented, bare = "// Package p is here.\npackage p\n", "package p\n"
	tests := []struct {
		name  string
		files map[string]string // "" removes
		want  []string
	}{
		{"nothing wrong", nil, nil},
		{"no comment", map[string]string{"worker/doc.go": bare}, []string{"worker: has package comments in [], want"}},
		{"two comments", map[string]string{"worker/a.go": documented}, []string{"worker: has package comments in [worker/a.go worker/doc.go]"}},
		{"directive is no comment", map[string]string{"worker/a.go": "//go:generate true\npackage p\n"}, nil},
		{"comment in a test", map[string]string{"worker/a_test.go": documented}, []string{"worker: has package comments in [worker/a_test.go worker/doc.go]"}},
		{"comment in another file", map[string]string{"worker/doc.go": "", "worker/a.go": documented}, []string{"worker/a.go: has the package comment, which"}},
		{"file of the folder's name", map[string]string{"worker/doc.go": "", "worker/worker.go": documented}, nil},
		{"tests alone", map[string]string{"check/a_test.go": documented, "check/b_test.go": bare}, nil},
		{"tests alone, no comment", map[string]string{"check/a_test.go": bare}, []string{"check: has package comments in []"}},
		{"entry without a package", map[string]string{"worker/doc.go": ""}, []string{"arch_test.go: allowed has an entry for worker"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fsys := cleanTree()
			for name, text := range test.files {
				if text == "" {
					delete(fsys, name)
					continue
				}
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			wantViolations(t, fsys, test.want)
		})
	}
}

// cleanTree has every package of the table, and breaks no rule.
func cleanTree() fstest.MapFS {
	fsys := fstest.MapFS{}
	for folder := range allowed {
		fsys[folder+"/doc.go"] = &fstest.MapFile{Data: []byte("// Package p is here.\npackage p\n")}
	}
	return fsys
}

// wantViolations compares by the beginnings of the complaints.
func wantViolations(t *testing.T, fsys fs.FS, want []string) {
	t.Helper()
	tree, err := readTree(fsys)
	if err != nil {
		t.Fatal(err)
	}
	got := violations(tree)
	for i := range min(len(got), len(want)) {
		if strings.HasPrefix(got[i], want[i]) {
			got[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}
