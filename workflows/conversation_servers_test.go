package workflows

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRelisted(t *testing.T) {
	t.Parallel()
	servers := []ListedServer{{Label: "a", Origin: "old"}, {Label: "b", Origin: "old"}}
	got := relisted(servers, []ListedServer{{Label: "a", Origin: "new"}, {Label: "c", Origin: "new"}})
	want := []ListedServer{{Label: "b", Origin: "old"}, {Label: "a", Origin: "new"}, {Label: "c", Origin: "new"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if servers[0].Origin != "old" {
		t.Error("the list before has changed")
	}
}
