package responses_test

import (
	"errors"
	"testing"

	"perdure/internal/responses"
)

func TestDecodeStrict(t *testing.T) {
	t.Parallel()
	type inner struct {
		Name string `json:"name"`
	}
	type outer struct {
		Count int               `json:"count"`
		One   inner             `json:"one"`
		Many  []inner           `json:"many"`
		Any   map[string]string `json:"any"`
	}
	for body, param := range map[string]string{
		`{"other":1}`:                     "other",
		`{"Count":1}`:                     "Count", // encoding/json would take it
		`{"one":{"name":"a","x":1}}`:      "one.x",
		`{"many":[{"name":"a"},{"x":1}]}`: "many[1].x",
		`{"count":"1"}`:                   "count",
		`{"one":{"name":1}}`:              "one.name",
		`{"one":[]}`:                      "one",
		`{"count":1,"count":2}`:           "count",
		`[]`:                              "",
		`{`:                               "",
		`{"count":1} {}`:                  "",
	} {
		var shown *responses.Error
		if err := responses.DecodeStrict([]byte(body), &outer{}); !errors.As(err, &shown) || shown.Status != 400 || shown.Param != param {
			t.Errorf("%s: error %v, want one for %q", body, err, param)
		}
	}
	got := outer{Count: 7, One: inner{Name: "kept"}}
	if err := responses.DecodeStrict([]byte(` {"many":[{"name":"a"}],"any":{"Anything":"goes"}}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count != 7 || got.One.Name != "kept" || len(got.Many) != 1 || got.Any["Anything"] != "goes" {
		t.Errorf("read %+v", got)
	}
}
