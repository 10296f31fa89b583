package activities_test

import (
	"strings"
	"testing"

	"perdure/activities"
	"perdure/internal/modeltest"
	"perdure/internal/responses"
	"perdure/internal/secret"
)

func TestModelTurnReadsCompactions(t *testing.T) {
	t.Parallel()
	m := closed(t, modeltest.New(modeltest.Text("answer")))
	f := setup(t, m.URL())
	in := f.turnInput(activities.Settings{Organization: "org-1"}, &responses.Compaction{
		ID: "cmp_1", EncryptedContent: must(activities.SealCompaction(f.sealer, "org-1", "We spoke of cats.")),
	})
	f.turn(in)
	last := m.Requests()[0].Last()
	if last.Role != "system" || last.Content != "Summary of the conversation so far:\nWe spoke of cats." {
		t.Errorf("the model saw %+v", last)
	}
}

func TestCompactionThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	f := setup(t, nowhere)
	good := must(activities.SealCompaction(f.sealer, "org-1", "We spoke of cats."))
	tests := []struct{ name, organization, content string }{
		{"another organization", "org-2", good},
		{"no organization", "", good},
		{"altered", "org-1", strings.ToLower(good)},
		{"not base64", "org-1", "?" + good},
		{"another keyset", "org-1", must(activities.SealCompaction(must(secret.ParseKeyset(must(secret.GenerateKeyset()))), "org-1", "x"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := f.turnInput(activities.Settings{Organization: tt.organization},
				&responses.Compaction{ID: "cmp_1", EncryptedContent: tt.content})
			_, err := execute[activities.ModelTurnResult](f.env(), activities.ModelTurnName, in)
			got := failureOf(t, err)
			if got.Type != activities.ErrTypeModel || !got.Final || !strings.Contains(got.Message, `item "cmp_1", number 3`) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
