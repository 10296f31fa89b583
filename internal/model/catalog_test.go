package model_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"perdure/internal/model"
	"perdure/internal/secret"
)

func provider(name string, models ...string) model.Provider {
	return model.Provider{Name: name, BaseURL: "https://" + name + ".example/v1", Models: models}
}

func TestCatalogResolve(t *testing.T) {
	t.Parallel()
	open := []model.Provider{provider("openai"), provider("local", "qwen3", "gpt-oss"), provider("alt", "gpt-oss")}
	closed := []model.Provider{provider("openai", "gpt-5.5"), provider("openrouter", "anthropic/claude-x", "openai/gpt-5.5")}
	for _, test := range []struct {
		providers        []model.Provider
		def, name, want  string
		wantUnknownModel bool
	}{
		{open, "openai/gpt-5.5", "", "openai/gpt-5.5", false},
		{open, "openai/gpt-5.5", "openai/gpt-4.1", "openai/gpt-4.1", false},
		{open, "openai/gpt-5.5", "gpt-4.1", "openai/gpt-4.1", false},
		{open, "openai/gpt-5.5", "qwen3", "local/qwen3", false},
		{open, "openai/gpt-5.5", "gpt-oss", "alt/gpt-oss", false}, // the first in the order of names
		{open, "openai/gpt-5.5", "local/gpt-oss", "local/gpt-oss", false},
		{open, "openai/gpt-5.5", "local/gpt-4.1", "", true},
		{open, "openai/gpt-5.5", "openai/", "", true},
		{open, "openai/gpt-5.5", "openai/ft:gpt/x", "openai/ft:gpt/x", false},
		{open, "openai/gpt-5.5", strings.Repeat("m", 257), "", true},
		{open, "qwen3", "gpt-4.1", "", true}, // the default's provider lists what it has
		{open, "", "gpt-4.1", "", true},
		{open, "", "", "", true},
		{closed, "", "openrouter/anthropic/claude-x", "openrouter/anthropic/claude-x", false},
		{closed, "", "anthropic/claude-x", "openrouter/anthropic/claude-x", false},
		{closed, "", "openai/gpt-4.1", "", true},
		{closed[1:], "", "openai/gpt-5.5", "openrouter/openai/gpt-5.5", false},
	} {
		catalog, err := model.NewCatalog(test.providers, test.def)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := catalog.Resolve(test.name)
		var unknown *model.UnknownModelError
		if got := errors.As(err, &unknown); got != test.wantUnknownModel {
			t.Errorf("Resolve(%q) with default %q: error %v, want an UnknownModelError: %v", test.name, test.def, err, test.wantUnknownModel)
			continue
		}
		if err != nil {
			continue
		}
		if ref.String() != test.want {
			t.Errorf("Resolve(%q) with default %q = %s, want %s", test.name, test.def, ref, test.want)
		}
		if again, err := catalog.Resolve(ref.String()); err != nil || again != ref {
			t.Errorf("Resolve(%q) = %v, %v; want the same reference", ref.String(), again, err)
		}
	}
}

func TestUnknownModelErrorIsBounded(t *testing.T) {
	t.Parallel()
	var models []string
	for i := range 100 {
		models = append(models, fmt.Sprintf("m%02d", i))
	}
	catalog, err := model.NewCatalog([]model.Provider{provider("big", models...)}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = catalog.Resolve(strings.Repeat("x", 300))
	got := err.Error()
	if len(got) > 500 || !strings.Contains(got, "big/m00") || !strings.Contains(got, "80 more") {
		t.Errorf("error has %d bytes and reads %q", len(got), got)
	}
}

func TestCatalogModels(t *testing.T) {
	t.Parallel()
	catalog, err := model.NewCatalog([]model.Provider{provider("z", "b", "a", "a"), provider("any"), provider("k", "c/d")}, "any/x")
	if err != nil {
		t.Fatal(err)
	}
	want := []model.Ref{{Provider: "any", Model: "x"}, {Provider: "k", Model: "c/d"}, {Provider: "z", Model: "a"}, {Provider: "z", Model: "b"}}
	if diff := cmp.Diff(want, catalog.Models()); diff != "" {
		t.Errorf("Models (-want +got):\n%s", diff)
	}
}

func TestNewCatalogNamesEveryFault(t *testing.T) {
	t.Parallel()
	good := provider("good", "m")
	for name, test := range map[string]struct {
		change func(*model.Provider)
		want   string
	}{
		"name with a slash":  {func(p *model.Provider) { p.Name = "a/b" }, "name must match"},
		"no URL":             {func(p *model.Provider) { p.BaseURL = "" }, "base_url"},
		"ftp":                {func(p *model.Provider) { p.BaseURL = "ftp://h/v1" }, "base_url"},
		"user in the URL":    {func(p *model.Provider) { p.BaseURL = "https://u:p@h/v1" }, "base_url must have no user"},
		"query in the URL":   {func(p *model.Provider) { p.BaseURL = "https://h/v1?key=1" }, "query"},
		"whole endpoint":     {func(p *model.Provider) { p.BaseURL = "https://h/v1/chat/completions/" }, "appended"},
		"key with line end":  {func(p *model.Provider) { p.APIKey = secret.New("abc\n") }, "line break"},
		"bad header":         {func(p *model.Provider) { p.Headers = map[string]string{"X Y": "1"} }, "header"},
		"bad header value":   {func(p *model.Provider) { p.Headers = map[string]string{"X": "1\r\nY: 2"} }, "header"},
		"empty model":        {func(p *model.Provider) { p.Models = []string{" "} }, "model 0"},
		"unknown field":      {func(p *model.Provider) { p.Quirks.MaxTokensField = "max" }, "max_tokens_field"},
		"unknown role":       {func(p *model.Provider) { p.Quirks.SystemRole = "root" }, "system_role"},
		"a name used before": {func(p *model.Provider) { p.Name = "good" }, "two providers"},
	} {
		bad := provider("bad", "m")
		test.change(&bad)
		_, err := model.NewCatalog([]model.Provider{good, bad}, "good/m")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
	if _, err := model.NewCatalog(nil, ""); err == nil {
		t.Error("a catalog without providers was accepted")
	}
	if _, err := model.NewCatalog([]model.Provider{good}, "good/other"); err == nil {
		t.Error("a default that no provider serves was accepted")
	}
}
