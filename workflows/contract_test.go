package workflows

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perdure/contract"
	"perdure/internal/responses"
)

// TestContract: what other programs send and get is what the workflow takes and returns, name by name and type by type.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, pair := range []struct{ theirs, ours reflect.Type }{
		{reflect.TypeFor[contract.Outcome](), reflect.TypeFor[Outcome]()},
		{reflect.TypeFor[contract.ResponseInput](), reflect.TypeFor[ResponseInput]()},
		{reflect.TypeFor[contract.BatchInput](), reflect.TypeFor[BatchInput]()},
		{reflect.TypeFor[contract.BatchResult](), reflect.TypeFor[BatchResult]()},
	} {
		ours := map[string]reflect.Type{}
		for f := range fields(pair.ours) {
			ours[tag(f)] = f.Type
		}
		for f := range fields(pair.theirs) {
			want := f.Type
			if got := ours[tag(f)]; got != want && got != reflect.PointerTo(want) {
				t.Errorf("%s.%s is %v, and %v here", pair.theirs, tag(f), want, got)
			}
		}
	}
}

func fields(of reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range of.NumField() {
			if !yield(of.Field(i)) {
				return
			}
		}
	}
}

// tag is the name of a field in JSON.
func tag(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// TestOutcomeOfAnotherProgram: everything that the package promises survives the way to the other program.
func TestOutcomeOfAnotherProgram(t *testing.T) {
	t.Parallel()
	want := contract.Outcome{
		Status: responses.ResponseIncomplete, Reason: responses.IncompleteMaxSteps, Model: "p/m", Usage: responses.Usage{TotalTokens: 3},
		Error: &contract.RunError{Type: "t", Code: "c", Message: "m", Param: "p"}, Throttled: 2, CompletedAt: time.Unix(1_800_000_000, 0).UTC(),
		PendingCalls: []string{"call"}, PendingApprovals: []string{"approval"}, Response: contract.JSON(`{"id":"resp_1"}`), ResponseOmitted: true,
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var ours Outcome
	if err := json.Unmarshal(data, &ours); err != nil {
		t.Fatal(err)
	}
	if data, err = json.Marshal(ours); err != nil {
		t.Fatal(err)
	}
	var got contract.Outcome
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for f := range fields(reflect.TypeOf(want)) {
		if reflect.ValueOf(want).FieldByIndex(f.Index).IsZero() {
			t.Errorf("this test does not set %s", f.Name)
		}
	}
}
