package perdure_test

import (
	"go/build"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// program is the package that the image and bin/perdure are built from.
const program = "cmd/perdure"

// closure returns the folders of ours that a package is built from, its own among them, in order.
func closure(tree []source, folder string) []string {
	imports := map[string][]string{}
	for _, s := range tree {
		for _, imported := range s.imports {
			if ours, ok := strings.CutPrefix(imported, modulePath+"/"); ok && !s.test() {
				imports[s.folder()] = append(imports[s.folder()], ours)
			}
		}
	}
	needed := map[string]bool{folder: true}
	for waiting := []string{folder}; len(waiting) > 0; waiting = waiting[1:] {
		for _, next := range imports[waiting[0]] {
			if !needed[next] {
				needed[next] = true
				waiting = append(waiting, next)
			}
		}
	}
	return slices.Sorted(maps.Keys(needed))
}

// tops returns the top folders of folders, in order.
func tops(folders []string) []string {
	var out []string
	for _, folder := range folders {
		top, _, _ := strings.Cut(folder, "/")
		out = append(out, top)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// buildContext reads a .dockerignore that leaves out everything but what it names: what it lets in, and the names that it leaves out
// wherever they are.
func buildContext(t *testing.T, text string) (admitted, leftOut []string) {
	t.Helper()
	all := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, admits := strings.CutPrefix(line, "!")
		everywhere, leaves := strings.CutPrefix(line, "**/")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "*":
			all = true
		case admits:
			admitted = append(admitted, name)
		case leaves:
			leftOut = append(leftOut, everywhere)
		default:
			t.Errorf(".dockerignore: this test does not understand %q", line)
		}
	}
	if !all {
		t.Error(".dockerignore: leaves nothing out: its first rule has to be *")
	}
	return admitted, leftOut
}

// TestBuildsHaveTheirSources: a folder that the program imports and that the image's build is not sent is an image that cannot be built;
// one that make does not watch is a program that stays as it was.
func TestBuildsHaveTheirSources(t *testing.T) {
	t.Parallel()
	tree, err := readTree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	folders := closure(tree, program)
	want := tops(folders)
	ignore, err := os.ReadFile(".dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	admitted, leftOut := buildContext(t, string(ignore))
	slices.Sort(admitted)
	if diff := cmp.Diff(slices.Sorted(slices.Values(append(slices.Clone(want), "go.mod", "go.sum"))), admitted); diff != "" {
		t.Errorf(".dockerignore lets in other folders than %s is built from (-want +got):\n%s", program, diff)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^PERDURE_SOURCES.*\$\(call sources,([^)]*)\)$`).FindSubmatch(makefile)
	if line == nil {
		t.Fatal("Makefile: PERDURE_SOURCES does not call sources")
	}
	if diff := cmp.Diff(want, strings.Fields(string(line[1]))); diff != "" {
		t.Errorf("Makefile: PERDURE_SOURCES has other folders than %s is built from (-want +got):\n%s", program, diff)
	}
	embedded := 0
	for _, folder := range folders {
		for _, file := range embeds(t, folder) {
			embedded++
			for element := range strings.SplitSeq(file, "/") {
				for _, pattern := range leftOut {
					if matched, err := path.Match(pattern, element); err != nil || matched {
						t.Errorf("%s is embedded, and .dockerignore leaves out **/%s", file, pattern)
					}
				}
			}
		}
	}
	// What finds nothing checks nothing.
	if len(folders) < 30 || embedded < 30 {
		t.Errorf("%s is built from %d folders with %d embedded files", program, len(folders), embedded)
	}
}

// embeds returns the files that the package in a folder embeds.
func embeds(t *testing.T, folder string) []string {
	t.Helper()
	pkg, err := build.ImportDir(filepath.FromSlash(folder), 0)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range pkg.EmbedPatterns {
		matches, err := fs.Glob(os.DirFS(folder), strings.TrimPrefix(pattern, "all:"))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range matches {
			err := fs.WalkDir(os.DirFS(folder), match, func(name string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					files = append(files, path.Join(folder, name))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return files
}

func TestClosure(t *testing.T) {
	t.Parallel()
	tree := []source{
		{path: "cmd/perdure/main.go", imports: []string{"fmt", "perdure/starter"}},
		{path: "cmd/perdure/main_test.go", imports: []string{"perdure/internal/mcptest"}},
		{path: "starter/run.go", imports: []string{"perdure/internal/blob", "perdure/workflows"}},
		{path: "workflows/run.go", imports: []string{"perdure/contract", "perdure/internal/blob"}},
		{path: "bench/main.go", imports: []string{"perdure/contract"}},
	}
	got := closure(tree, program)
	if diff := cmp.Diff([]string{"cmd/perdure", "contract", "internal/blob", "starter", "workflows"}, got); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cmd", "contract", "internal", "starter", "workflows"}, tops(got)); diff != "" {
		t.Errorf("top folders (-want +got):\n%s", diff)
	}
}
